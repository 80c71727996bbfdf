package config

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

// maxFile is far beyond any configuration; a file this large was named by mistake.
const maxFile = 1 << 20

// format is a language that configuration files are written in.
type format struct {
	parser koanf.Parser
	// lines returns the line of each key, and what is wrong with the file that the parser does not tell as well.
	lines func(data []byte) (lines, []fault)
	// explain turns the parser's error into something that can be shown.
	explain func(err error) fault
}

// lines has the line of every key in a file.
type lines map[string]int

// of falls back to the nearest section around the key.
func (l lines) of(key string) int {
	for ; key != ""; key = parent(key) {
		if line := l[key]; line > 0 {
			return line
		}
	}
	return 0
}

// keyAt returns the setting in a line, or "" unless there is exactly one.
func (l lines) keyAt(line int) string {
	found := ""
	for key, at := range l {
		if _, known := findKey(key); !known || at != line {
			continue
		}
		if found != "" {
			return ""
		}
		found = key
	}
	return found
}

// fault is something wrong with a file.
type fault struct {
	line   int
	key    string
	reason string
}

func formatOf(name string) (format, bool) {
	switch filepath.Ext(name) {
	case ".yaml", ".yml":
		return format{yaml.Parser(), yamlLines, explainYAML}, true
	case ".toml":
		return format{toml.Parser(), tomlLines, explainTOML}, true
	}
	return format{}, false
}

// readFile returns the layer of the file.
func readFile(name string) *layer {
	l := newLayer()
	f, ok := formatOf(name)
	if !ok {
		l.problem("", fileOrigin(name, 0), "the name must end in .yaml, .yml or .toml")
		return l
	}
	data, err := readLimited(name, maxFile)
	if err != nil {
		l.problems = append(l.problems, Problem{Origin: fileOrigin(name, 0), Reason: err.Error(), Cause: err})
		return l
	}
	l.decode(name, f, data)
	return l
}

func (l *layer) decode(name string, f format, data []byte) {
	at, faults := f.lines(data)
	raw := koanf.New(".")
	if len(faults) == 0 {
		if err := raw.Load(rawbytes.Provider(data), f.parser); err != nil {
			faults = []fault{f.explain(err)}
		}
	}
	for _, fault := range faults {
		l.fault(name, at, fault)
	}
	values := raw.All()
	for _, key := range inFileOrder(values, at) {
		if !emptySection(key, values[key]) {
			l.add(key, values[key], fileOrigin(name, at.of(key)))
		}
	}
}

// fault reports a fault together with the setting that it is in, if that can be told.
func (l *layer) fault(name string, at lines, f fault) {
	key := f.key
	if key == "" {
		key = at.keyAt(f.line)
	}
	if k, ok := findKey(key); ok {
		f.reason += "; want " + k.kind.want()
	}
	l.problem(key, fileOrigin(name, f.line), f.reason)
}

func inFileOrder(values map[string]any, at lines) []string {
	names := sortedKeys(values)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(at.of(a), at.of(b)) })
	return names
}

// emptySection allows a section whose settings are all commented out.
func emptySection(key string, v any) bool {
	section, isMap := v.(map[string]any)
	return isSection(key) && (v == nil || isMap && len(section) == 0)
}

// discover returns the first default configuration file that exists, or "", and the others that exist beside it.
func discover(in Input) (name string, ignored []string, err error) {
	for _, candidate := range candidates(in) {
		_, statErr := os.Stat(candidate)
		switch {
		case errors.Is(statErr, fs.ErrNotExist):
		case statErr != nil:
			err = errors.Join(err, statErr)
		case name == "":
			name = candidate
		default:
			ignored = append(ignored, candidate)
		}
	}
	return name, ignored, err
}

func candidates(in Input) []string {
	dir := in.getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // as the XDG specification has it
		if in.HomeDir == "" {
			return nil
		}
		dir = filepath.Join(in.HomeDir, ".config")
	}
	var names []string
	for _, ext := range []string{"yaml", "yml", "toml"} {
		names = append(names, filepath.Join(dir, "guppy", "config."+ext))
	}
	return names
}
