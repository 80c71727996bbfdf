// Package documents reads the Markdown files of this module, for tests of what they say.
package documents

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write generated documents again instead of comparing them")

// Document is a Markdown file.
type Document struct {
	// Path is the file's path below the root that was read, with slashes.
	Path string
	// Prose has all lines of the file. Those of fenced blocks are empty.
	Prose []string
	// Blocks are the fenced blocks in their order.
	Blocks []Block
}

// Block is a fenced block.
type Block struct {
	// Line is the number of the opening fence's line.
	Line int
	// Info is the text behind the opening fence, such as "console".
	Info  string
	Lines []string
}

// Read returns the Markdown files below root, without hidden and vendored directories.
func Read(root string) ([]Document, error) {
	var all []Document
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if file != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		case filepath.Ext(name) != ".md":
			return nil
		}

		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		path, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		all = append(all, parse(filepath.ToSlash(path), string(content)))
		return nil
	})
	return all, err
}

const fence = "```"

func parse(path, content string) Document {
	document := Document{Path: path}
	var block *Block
	for i, line := range strings.Split(content, "\n") {
		info, isFence := strings.CutPrefix(line, fence)
		prose := ""
		switch {
		case isFence && block == nil:
			block = &Block{Line: i + 1, Info: info}
		case isFence:
			document.Blocks = append(document.Blocks, *block)
			block = nil
		case block != nil:
			block.Lines = append(block.Lines, line)
		default:
			prose = line
		}
		document.Prose = append(document.Prose, prose)
	}
	return document
}

// Shown returns the text of the fenced blocks of a kind that a file has below a heading. The test fails if there are
// none.
func Shown(t testing.TB, file, heading, info string) (texts []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	document := parse(file, string(content))
	begin, end := len(document.Prose), len(document.Prose)
	for i, line := range document.Prose {
		marks, text, _ := strings.Cut(line, " ")
		switch {
		case marks == "" || strings.Trim(marks, "#") != "":
		case text == heading:
			begin = i
		case i > begin:
			end = min(end, i)
		}
	}

	for _, block := range document.Blocks {
		if block.Info == info && begin < block.Line && block.Line <= end {
			texts = append(texts, strings.Join(block.Lines, "\n"))
		}
	}
	if len(texts) == 0 {
		t.Fatalf("%s has no %s block below %q", file, info, heading)
	}
	return texts
}

// Compare fails the test unless the file has the content that was generated for it. With the flag -update it writes
// the file instead.
func Compare(t testing.TB, file, generated string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(generated), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}

	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != generated {
		t.Errorf("%s is out of date: run make docs", file)
	}
}
