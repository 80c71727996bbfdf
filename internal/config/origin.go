package config

import (
	"fmt"
	"strings"
)

// Origin is the place that the value of a setting comes from: "default", "file /etc/guppy.yaml:12", "environment
// GUPPY_LOG_LEVEL" or "flag --log-level".
type Origin string

// Default is the origin of a setting that is not set anywhere.
const Default Origin = "default"

// Origin returns the origin of a setting's value.
func (c *Config) Origin(key string) Origin {
	if origin, ok := c.origins[key]; ok {
		return origin
	}
	return Default
}

// IsSet reports whether the setting was given in a file, the environment or a flag.
func (c *Config) IsSet(key string) bool { return c.Origin(key) != Default }

// ByFlag reports whether the setting was given by a flag: for this run alone, rather than for all.
func (c *Config) ByFlag(key string) bool { return c.Origin(key).layer() == byFlagLayer }

// The layers of settings. A higher one overrides those below it.
const (
	defaultLayer = iota
	inFileLayer
	inEnvironLayer
	byFlagLayer
)

// layer returns the layer that an origin belongs to.
func (o Origin) layer() int {
	switch {
	case strings.HasPrefix(string(o), string(flagOrigin(""))):
		return byFlagLayer
	case strings.HasPrefix(string(o), string(envOrigin(""))):
		return inEnvironLayer
	case o != "" && o != Default:
		return inFileLayer
	}
	return defaultLayer
}

func fileOrigin(name string, line int) Origin {
	if line == 0 {
		return Origin("file " + name)
	}
	return Origin(fmt.Sprintf("file %s:%d", name, line))
}

func envOrigin(name string) Origin  { return Origin("environment " + name) }
func flagOrigin(name string) Origin { return Origin("flag --" + name) }
