package config

import (
	"fmt"
	"maps"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
)

// Input is everything that Load depends on besides the files themselves.
type Input struct {
	// File is the configuration file named by the operator, or "" for the default file, which need not exist.
	File string
	// Environ has the form of os.Environ.
	Environ []string
	// Flags holds the flags that were given, by the names of their settings.
	Flags map[string]Flag
	// HomeDir replaces "~". It may be "" as long as no path needs it.
	HomeDir string
}

func (in Input) getenv(name string) string {
	for _, entry := range in.Environ {
		if n, value, _ := strings.Cut(entry, "="); n == name {
			return value
		}
	}
	return ""
}

// Load reads and checks the configuration: defaults, the file, GUPPY_* variables, and flags, in increasing order
// of precedence. If Input.File is empty, Load reads the first of config.yaml, config.yml and config.toml that
// exists in $XDG_CONFIG_HOME/guppy, which is ~/.config/guppy by default.
//
// If the configuration is invalid, Load returns an *Error, which lists every problem and wraps ErrInvalid.
func Load(in Input) (*Config, error) {
	file, first := fileLayer(in)
	layers := []*layer{first, environLayer(in.Environ), flagLayer(in.Flags)}
	c, err := merge(layers)
	if err != nil {
		return nil, err
	}

	c.File = file
	problems := problemsOf(layers)
	if problems = append(problems, c.resolve(in.HomeDir, problems)...); len(problems) > 0 {
		return nil, &Error{Problems: problems}
	}

	return c, nil
}

func fileLayer(in Input) (string, *layer) {
	if in.File != "" {
		return in.File, readFile(in.File)
	}
	name, ignored, err := discover(in)
	if err != nil {
		l := newLayer()
		l.problems = []Problem{{Reason: "finding the configuration file: " + err.Error(), Cause: err}}
		return "", l
	}

	if name == "" {
		// The default file need not exist.
		return "", newLayer()
	}

	l := readFile(name)
	// An operator may be editing one of the files that have no effect.
	for _, other := range ignored {
		l.warnings = append(l.warnings, fmt.Sprintf("%s is ignored: %s is read instead", other, name))
	}

	return name, l
}

// merge puts the layers over the defaults. It fails only if the table of settings and Config disagree.
func merge(layers []*layer) (*Config, error) {
	k := koanf.New(".")
	if err := k.Load(structs.Provider(defaults(), "koanf"), nil); err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}

	c := &Config{origins: map[string]Origin{}, unused: map[string]string{}}
	for _, l := range layers {
		if err := k.Load(confmap.Provider(l.values, "."), nil); err != nil {
			return nil, fmt.Errorf("merge: %w", err)
		}
		maps.Copy(c.origins, l.origins)
		c.Warnings = append(c.Warnings, l.warnings...)
	}

	// A key without a field is a mistake of ours that would lose a setting.
	strict := koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{ErrorUnused: true}}
	if err := k.UnmarshalWithConf("", c, strict); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}

	return c, nil
}

func problemsOf(layers []*layer) []Problem {
	var all []Problem
	for _, l := range layers {
		all = append(all, l.problems...)
	}
	return all
}
