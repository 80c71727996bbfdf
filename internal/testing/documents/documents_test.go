package documents_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/documents"
)

const root = "../../.."

// TestLinksLeadSomewhere looks at each link to a file or a heading of this module. Other sites are not asked.
func TestLinksLeadSomewhere(t *testing.T) {
	all := read(t)
	anchors := map[string][]string{}
	for _, document := range all {
		anchors[document.Path] = anchorsOf(document)
	}

	for _, document := range all {
		for _, l := range linksOf(document) {
			file, anchor, _ := strings.Cut(l.target, "#")
			if file == "" {
				file = document.Path
			} else {
				file = path.Join(path.Dir(document.Path), file)
			}

			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); err != nil {
				t.Errorf("%s:%d: %s: %v", document.Path, l.line, l.target, err)
			} else if anchor != "" && !slices.Contains(anchors[file], anchor) {
				t.Errorf("%s:%d: %s: no such heading", document.Path, l.line, l.target)
			}
		}
	}
}

// TestBlocksSayWhetherTheyRun looks at what is shown as code. Commands stand in a console block, which the tests of
// cmd/guppy run, or in one that says no-run.
func TestBlocksSayWhetherTheyRun(t *testing.T) {
	data := []string{"text", "go", "yaml", "toml", "ini", "json", "sql", "mermaid", "sh no-run"}
	for _, document := range read(t) {
		for _, block := range document.Blocks {
			where := fmt.Sprintf("%s:%d", document.Path, block.Line)
			switch {
			case slices.Contains(data, block.Info):
			case block.Info != "console":
				t.Errorf("%s: a block of kind %q: make it console, sh no-run, or one of %q", where, block.Info, data)
			case len(block.Lines) == 0 || !strings.HasPrefix(block.Lines[0], "$ "):
				t.Errorf("%s: a console block begins with a command behind \"$ \"", where)
			}
		}

		for i, line := range document.Prose {
			if strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t") {
				t.Errorf("%s:%d: an indented block: fence it, and say what it is", document.Path, i+1)
			}
		}
	}
}

// TestTheReadmeIsShort holds the README to what is read before guppy is tried.
func TestTheReadmeIsShort(t *testing.T) {
	const most = 150
	for _, document := range read(t) {
		if lines := len(document.Prose) - 1; document.Path == "README.md" && lines > most {
			t.Errorf("%d lines, more than %d: move details to docs", lines, most)
		}
	}
}

func read(t *testing.T) []documents.Document {
	t.Helper()
	all, err := documents.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d documents", len(all))
	}
	return all
}

// link is a link to something in this module.
type link struct {
	line   int
	target string
}

var (
	linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codePattern = regexp.MustCompile("`[^`]*`")
	scheme      = regexp.MustCompile(`^[a-z]+:`)
)

func linksOf(document documents.Document) (links []link) {
	for i, line := range document.Prose {
		for _, found := range linkPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(line, ""), -1) {
			if !scheme.MatchString(found[1]) {
				links = append(links, link{i + 1, found[1]})
			}
		}
	}
	return links
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchorsOf returns the anchors that GitHub gives to the headings of a document.
func anchorsOf(document documents.Document) []string {
	var anchors []string
	seen := map[string]int{}
	for _, line := range document.Prose {
		marks, heading, found := strings.Cut(line, " ")
		if !found || marks == "" || strings.Trim(marks, "#") != "" {
			continue
		}

		anchor := strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
		seen[anchor]++
		if n := seen[anchor]; n > 1 {
			anchor = fmt.Sprintf("%s-%d", anchor, n-1)
		}
		anchors = append(anchors, anchor)
	}
	return anchors
}
