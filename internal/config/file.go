package config

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"

	"github.com/guppy-prep/guppy/internal/formats/textfile"
)

// maxFile is the largest size of a configuration file. A larger file was surely named by mistake.
const maxFile = 1 << 20

// fileFormat is a language of configuration files.
type fileFormat struct {
	parser koanf.Parser
	// lines returns the line of each key, and the faults of the file that the parser does not find itself or does
	// not report well.
	lines func(data []byte) (lines, []syntaxFault)
	// explain turns an error of the parser into a fault that is safe to show.
	explain func(err error) syntaxFault
}

// lines maps the keys of a file to their lines.
type lines map[string]int

// at returns the line of a key, or of the nearest section around it, or 0.
func (l lines) at(key string) int {
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

// syntaxFault is a mistake in a file.
type syntaxFault struct {
	line   int
	key    string
	reason string
}

func formatOf(name string) (fileFormat, bool) {
	switch filepath.Ext(name) {
	case ".yaml", ".yml":
		return fileFormat{yaml.Parser(), yamlLines, explainYAML}, true
	case ".toml":
		return fileFormat{toml.Parser(), tomlLines, explainTOML}, true
	}
	return fileFormat{}, false
}

// readFile reads the settings of a file.
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

func (l *layer) decode(name string, f fileFormat, data []byte) {
	data, fault := text(data)
	if fault != nil {
		l.fault(name, nil, *fault)
		return
	}

	at, faults := f.lines(data)

	raw := koanf.New(".")
	if len(faults) == 0 {
		if err := raw.Load(rawbytes.Provider(data), f.parser); err != nil {
			faults = []syntaxFault{f.explain(err)}
		}
	}

	for _, fault := range faults {
		l.fault(name, at, fault)
	}

	values := raw.All()

	// Problems are reported in the order in which the operator reads the file.
	for _, key := range inFileOrder(values, at) {
		if !emptySection(key, values[key]) {
			l.add(key, values[key], fileOrigin(name, at.at(key)))
		}
	}
}

// text returns the text of a file as the parsers want it, or the fault that keeps them from reading it. What they
// say about encodings themselves differs, and does not help.
func text(data []byte) ([]byte, *syntaxFault) {
	data, err := textfile.Decode(data)

	var nul *textfile.NULError
	if errors.As(err, &nul) {
		return nil, &syntaxFault{line: nul.Line, reason: "a NUL byte: save the file as text in UTF-8"}
	}

	number := 0
	for line := range bytes.Lines(data) {
		if number++; !utf8.Valid(line) {
			return nil, &syntaxFault{line: number, reason: "bytes that are not UTF-8: save the file as UTF-8"}
		}
	}
	return data, nil
}

// fault adds a problem. It names the setting of the fault if that is known.
func (l *layer) fault(name string, at lines, f syntaxFault) {
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
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(at.at(a), at.at(b)) })
	return names
}

// emptySection reports whether a value is an empty section. A section whose settings are all commented out is
// allowed.
func emptySection(key string, v any) bool {
	section, isMap := v.(map[string]any)
	return isSection(key) && (v == nil || isMap && len(section) == 0)
}

// discover returns the first default configuration file that exists, or "". It also returns the others that exist
// beside it.
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
	// The XDG specification says to ignore a relative path.
	if !filepath.IsAbs(dir) {
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
