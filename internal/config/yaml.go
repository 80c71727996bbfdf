package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

func yamlLines(data []byte) (lines, []syntaxFault) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node

	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		if line := faultyTab(data); line > 0 {
			return nil, []syntaxFault{{line: line, reason: "a tab in the indentation, which YAML does not allow: use spaces"}}
		}
		return nil, []syntaxFault{explainYAML(err)}
	}

	// The decoder would ignore a second document without an error.
	if err := decoder.Decode(&second); err == nil {
		return nil, []syntaxFault{{line: second.Line, reason: "a second YAML document; there must be only one"}}
	} else if !errors.Is(err, io.EOF) {
		return nil, []syntaxFault{explainYAML(err)}
	}

	return mappingLines(document.Content[0])
}

// indentedByTab matches a line whose indentation, or what follows the dash of a list, contains a tab.
var indentedByTab = regexp.MustCompile(`^[ -]*\t`)

// maxTabs limits how often faultyTab parses a file.
const maxTabs = 20

// faultyTab returns the line of a tab that makes a file invalid, or 0. In some places, such as a text of several
// lines, a tab is valid, so the parser is asked whether it takes the lines above and not the one with the tab.
func faultyTab(data []byte) int {
	number, end, tabs := 0, 0, 0
	for line := range bytes.Lines(data) {
		number++
		begin := end
		end += len(line)

		if !indentedByTab.Match(line) {
			continue
		}
		if isYAML(data[:begin]) && !isYAML(data[:end]) {
			return number
		}
		if tabs++; tabs == maxTabs {
			break
		}
	}
	return 0
}

func isYAML(data []byte) bool {
	var document yaml.Node
	return yaml.Unmarshal(data, &document) == nil
}

func mappingLines(root *yaml.Node) (lines, []syntaxFault) {
	w := yamlWalk{lines: lines{}}
	switch {
	case root.Kind == yaml.MappingNode:
		w.mapping(root, "")
	case root.Tag != "!!null":
		w.faults = []syntaxFault{{line: root.Line, reason: "want sections with settings below them"}}
	}
	return w.lines, w.faults
}

type yamlWalk struct {
	lines  lines
	faults []syntaxFault
}

// mapping records the lines of a mapping's keys. It does not follow aliases, because they may form a cycle.
// Settings from an alias have the line of their section.
func (w *yamlWalk) mapping(node *yaml.Node, section string) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]

		switch {
		case key.Kind != yaml.ScalarNode:
			w.faults = append(w.faults, syntaxFault{line: key.Line, key: section, reason: "a name must be plain text"})
			continue
		case key.Tag == "!!merge":
			// The keys that are merged in have the line of their section.
			continue
		}

		name := join(section, key.Value)
		if first, seen := w.lines[name]; seen {
			reason := fmt.Sprintf("already set in line %d", first)
			w.faults = append(w.faults, syntaxFault{line: key.Line, key: name, reason: reason})
			continue
		}

		w.lines[name] = key.Line
		if value.Kind == yaml.MappingNode {
			w.mapping(value, name)
		}
	}
}

var quoted = regexp.MustCompile("`[^`]*`|'[^']*'|\"[^\"]*\"")

// explainYAML removes quotations from the parser's message, because they may come from a secret. Quotations of
// one character are the parser's own, as in "expected ','".
func explainYAML(err error) syntaxFault {
	reason := quoted.ReplaceAllStringFunc(err.Error(), func(s string) string {
		if len(s) <= len("','") {
			return s
		}
		return "..."
	})
	return syntaxFault{reason: strings.Join(strings.Fields(reason), " ")}
}

func join(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}

// parent returns the section that contains a key or a section.
func parent(name string) string {
	i := strings.LastIndexByte(name, '.')
	return name[:max(i, 0)]
}
