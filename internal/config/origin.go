package config

import (
	"fmt"
	"strings"
)

// Origin says where the value of a setting comes from: "default", "file /etc/guppy.yaml:12",
// "environment GUPPY_LOG_LEVEL" or "flag --log-level".
type Origin string

// Default is the origin of a setting that nobody set.
const Default Origin = "default"

// Origin returns where the value of the setting comes from.
func (c *Config) Origin(key string) Origin {
	if origin, ok := c.origins[key]; ok {
		return origin
	}
	return Default
}

// IsSet tells whether the setting was given in a file, the environment or a flag.
func (c *Config) IsSet(key string) bool { return c.Origin(key) != Default }

// ByFlag tells whether the setting was given by a flag: for this one run, rather than for all.
func (c *Config) ByFlag(key string) bool {
	return strings.HasPrefix(string(c.Origin(key)), string(flagOrigin("")))
}

func fileOrigin(name string, line int) Origin {
	if line == 0 {
		return Origin("file " + name)
	}
	return Origin(fmt.Sprintf("file %s:%d", name, line))
}

func envOrigin(name string) Origin  { return Origin("environment " + name) }
func flagOrigin(name string) Origin { return Origin("flag --" + name) }
