package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/documents"
)

// referenceIntro has an @ for each backtick.
const referenceIntro = `# Configuration

This page is made from the program's settings and @config.example.yaml@ by @make docs@.

Defaults come first, then a file, then the environment, then flags; each goes over the one before. The file is
@--config FILE@, else @config.yaml@, @config.yml@ or @config.toml@ in @$XDG_CONFIG_HOME/guppy@ (@~/.config/guppy@).
Examples with all keys: [config.example.yaml](../../config.example.yaml) and
[config.example.toml](../../config.example.toml).

@guppy config show@ prints the values in force and where each comes from, without secrets. A key or variable that is
unknown, of the wrong type or out of range is refused, with its place and what is allowed.

In the environment a key is @GUPPY_@ and its name in capitals, with @_@ for the dot: @prepare.workers@ is
@GUPPY_PREPARE_WORKERS@. A variable that is empty counts as not set, and the items of a list stand between commas. Some
keys have a second, shorter variable.

A leading @~/@ in a path is the user's home directory, wherever the path is given: in the file, a variable, a flag or an
argument. Nothing else is replaced: @$HOME/x@, @~user/x@ and @%TEMP%/x@ are refused, and @./$HOME/x@ names a file that
is called so. The file may have the line endings of Windows, and be in UTF-8 or, with a byte order mark, UTF-16. YAML
allows no tabs in the indentation.
`

// TestReferenceOfSettings compares docs/reference/configuration.md with the settings and their examples.
func TestReferenceOfSettings(t *testing.T) {
	example, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	comments := readComments(string(example))

	usual, shown := defaults(), map[string]string{}
	for _, value := range usual.Values() {
		shown[value.Key] = value.Value
	}

	var text strings.Builder
	text.WriteString(strings.ReplaceAll(referenceIntro, "@", "`"))
	section := ""
	for i, k := range keys {
		if next, _, _ := strings.Cut(k.name, "."); next != section {
			section = next
			fmt.Fprintf(&text, "\n## %s\n\n%s\n", section, strings.Join(comments[section], "\n"))
		}
		if comment := comments[k.name]; comment != nil {
			writeHeading(&text, keys[i:], comments)
			writeComment(&text, comment)
		}

		writeKey(&text, k, shown[k.name])
	}
	documents.Compare(t, "../../docs/reference/configuration.md", text.String())
}

// writeKey writes what a key takes, and what it is if nobody says otherwise.
func writeKey(text *strings.Builder, k keySpec, usual string) {
	if usual == "" {
		usual = "empty"
	} else {
		usual = "`" + usual + "`"
	}
	fmt.Fprintf(text, "- `%s`: %s; default %s", k.name, k.kind.want(), usual)
	if k.short != "" {
		fmt.Fprintf(text, "; also `%s`", k.short)
	}
	text.WriteString("\n")
}

// writeHeading names the first key and those that share its comment.
func writeHeading(text *strings.Builder, group []keySpec, comments map[string][]string) {
	fmt.Fprintf(text, "\n### %s", group[0].name)
	for _, k := range group[1:] {
		if comments[k.name] != nil {
			break
		}
		fmt.Fprintf(text, ", %s", k.name)
	}
	text.WriteString("\n")
}

// writeComment writes what stands above a key. Its indented lines are examples.
func writeComment(text *strings.Builder, comment []string) {
	text.WriteString("\n")
	inExample := false
	for _, line := range comment {
		if isExample := strings.HasPrefix(line, " "); isExample != inExample {
			text.WriteString("\n```")
			if inExample = isExample; isExample {
				text.WriteString("text")
			}
			text.WriteString("\n")
		}
		text.WriteString(strings.TrimPrefix(line, "  ") + "\n")
	}
	if inExample {
		text.WriteString("```\n")
	}
	text.WriteString("\n")
}

// readComments returns the comments of a YAML file by the key or section that they stand above.
func readComments(yaml string) map[string][]string {
	comments := map[string][]string{}
	section := ""
	var above []string
	for line := range strings.Lines(yaml) {
		line = strings.TrimRight(line, "\n")
		trimmed := strings.TrimSpace(line)
		name, _, isKey := strings.Cut(trimmed, ":")
		switch {
		case strings.HasPrefix(trimmed, "#"):
			above = append(above, strings.TrimPrefix(strings.TrimPrefix(trimmed, "#"), " "))
			continue
		case isKey && line == trimmed:
			section = name
			comments[section] = above
		case isKey:
			comments[section+"."+name] = above
		}
		above = nil
	}
	return comments
}
