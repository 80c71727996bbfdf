// Package house_test compares the packages of this module with the tables in docs/design/house.md.
package house_test

import (
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	top    = "../../.."
	module = "github.com/guppy-prep/guppy/"
	// mostNames is the most packages and groups that one level of internal/ has, so that a reader sees all of them.
	mostNames = 12
)

// row is a package in one of the tables.
type row struct {
	path    string
	imports []string
	tests   bool
}

func TestImportsFollowTheTable(t *testing.T) {
	rows := readTables(t)
	packages := readPackages(t)

	at := make(map[string]int, len(rows))
	for i, r := range rows {
		if _, twice := at[r.path]; twice {
			t.Errorf("%s has two rows", r.path)
		}
		at[r.path] = i
		if _, found := packages[r.path]; !found {
			t.Errorf("%s has a row, and there is no such package", r.path)
		}
	}

	for name, imports := range packages {
		i, found := at[name]
		if !found {
			t.Errorf("%s has no row", name)
			continue
		}

		var short []string
		for _, imported := range imports {
			short = append(short, path.Base(imported))
			j, found := at[imported]
			switch {
			case !found: // reported above
			case rows[j].tests && !rows[i].tests:
				t.Errorf("%s imports %s, which is for tests", name, imported)
			case j < i && rows[j].tests == rows[i].tests:
				t.Errorf("%s imports %s, which is in a row above it", name, imported)
			}
		}

		slices.Sort(short)
		slices.Sort(rows[i].imports)
		if !slices.Equal(short, rows[i].imports) {
			t.Errorf("%s imports %q; its row has %q", name, short, rows[i].imports)
		}
	}
}

func TestEachLevelIsSeenAtOnce(t *testing.T) {
	levels := map[string]map[string]bool{}
	for name := range readPackages(t) {
		for name != "internal" && strings.HasPrefix(name, "internal/") {
			level := path.Dir(name)
			if levels[level] == nil {
				levels[level] = map[string]bool{}
			}
			levels[level][name] = true
			name = level
		}
	}

	if len(levels) == 0 {
		t.Fatal("no packages in internal/")
	}
	for level, names := range levels {
		if len(names) > mostNames {
			t.Errorf("%s has %d names, more than %d", level, len(names), mostNames)
		}
	}
}

// readTables returns the rows of both tables, in their order.
func readTables(t *testing.T) []row {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, "docs/design/house.md"))
	if err != nil {
		t.Fatal(err)
	}

	var rows []row
	tests := false
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "## For tests") {
			tests = true
		}
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}

		r := row{path: strings.Trim(cells[1], " `"), tests: tests}
		if list := strings.TrimSpace(cells[3]); list != "–" {
			r.imports = strings.Split(list, ", ")
		}
		rows = append(rows, r)
	}
	return rows
}

// readPackages returns the packages of this module, each with the others that its files import on any platform.
// Tests may import what they like. A package that has nothing but tests imports nothing.
func readPackages(t *testing.T) map[string][]string {
	t.Helper()
	packages := map[string][]string{}
	err := filepath.WalkDir(top, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(file, entry)
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}

		name, err := filepath.Rel(top, filepath.Dir(file))
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		imports, err := readImports(file)
		packages[name] = append(packages[name], imports...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	for name, imports := range packages {
		slices.Sort(imports)
		packages[name] = slices.Compact(imports)
	}
	return packages
}

// enter skips directories that have no packages of this module.
func enter(directory string, entry fs.DirEntry) error {
	name := entry.Name()
	if name == "testdata" || name == "bin" || name == "node_modules" || strings.HasPrefix(name, ".") && directory != top {
		return fs.SkipDir
	}
	if directory == top {
		return nil
	}

	_, err := os.Stat(filepath.Join(directory, "go.mod"))
	switch {
	case err == nil:
		return fs.SkipDir
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

func readImports(file string) (imports []string, err error) {
	if strings.HasSuffix(file, "_test.go") {
		return nil, nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}

	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if own, found := strings.CutPrefix(name, module); found {
			imports = append(imports, own)
		}
	}
	return imports, nil
}
