package config

import (
	"bytes"
	"errors"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlLines returns the lines of keys. It finds no faults, because the TOML parser reports them with their lines.
func tomlLines(data []byte) (lines, []syntaxFault) {
	w := tomlWalk{data: data, lines: lines{}, line: 1}
	w.parser.Reset(data)

	section := ""

	for w.parser.NextExpression() {
		switch node := w.parser.Expression(); node.Kind {
		case unstable.Table, unstable.ArrayTable:
			section = w.name("", node)
		case unstable.KeyValue:
			w.keyValue(section, node)
		default:
		}
	}

	return w.lines, nil
}

type tomlWalk struct {
	parser unstable.Parser
	data   []byte
	lines  lines
	// line is the line at offset. Together they avoid counting lines twice.
	line   int
	offset int
}

// name joins the parts of a dotted key and records the line of each.
func (w *tomlWalk) name(section string, node *unstable.Node) string {
	name := section
	for parts := node.Key(); parts.Next(); {
		part := parts.Node()
		name = join(name, string(part.Data))
		if _, seen := w.lines[name]; !seen {
			w.lines[name] = w.lineAt(int(part.Raw.Offset))
		}
	}
	return name
}

func (w *tomlWalk) keyValue(section string, node *unstable.Node) {
	name := w.name(section, node)
	value := node.Value()
	if value.Kind != unstable.InlineTable {
		return
	}
	for fields := value.Children(); fields.Next(); {
		if field := fields.Node(); field.Kind == unstable.KeyValue {
			w.keyValue(name, field)
		}
	}
}

func (w *tomlWalk) lineAt(offset int) int {
	if offset > w.offset && offset <= len(w.data) {
		w.line += bytes.Count(w.data[w.offset:offset], []byte{'\n'})
		w.offset = offset
	}
	return w.line
}

// explainTOML leaves out the excerpt of the file that the parser adds, because it may contain a secret.
func explainTOML(err error) syntaxFault {
	var decodeErr *toml.DecodeError
	if !errors.As(err, &decodeErr) {
		return syntaxFault{reason: "not valid TOML"}
	}
	line, _ := decodeErr.Position()
	return syntaxFault{line: line, reason: decodeErr.Error()}
}
