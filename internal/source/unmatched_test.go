package source_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestUnmatched(t *testing.T) {
	for _, test := range []struct{ patterns, paths, want string }{
		{"a b", "a", "b"},
		{"a b", "a b", ""},
		{"a b", "x y", "a b"},
		{"*.tmp !b.tmp *.tmp", "b.tmp", ""}, // shadowed by the last one
		{"*.tmp !b.tmp", "a.tmp", "!b.tmp"},
		{"foo/ foo/ foo", "foo", "foo/"}, // a file
		{"foo/ foo/ foo", "foo/", ""},
		{"foo/", "foo/bar", ""},
		{"bar foo/ foo", "foo/", "bar"},
		{"a a", "b", "a"},
		{"", "b", ""},
	} {
		excludes, err := source.ParseExcludes(strings.Fields(test.patterns))
		must(t, err)
		for _, name := range strings.Fields(test.paths) {
			name, isDir := strings.CutSuffix(name, "/")
			path, err := sqlrepo.ParsePath(name)
			must(t, err)
			excludes.Match(path, isDir)
		}

		var got []string
		for _, u := range excludes.Unmatched("/src") {
			got = append(got, u.Pattern)
		}
		if !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("%q of %q: got %q, want %q", test.patterns, test.paths, got, test.want)
		}
	}

	if (*source.Excludes)(nil).Unmatched("/") != nil {
		t.Error("no patterns have one that matches nothing")
	}
}

func TestHintsForPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"*.tmp": "", "/a": "", `\!a`: "", `\#a`: "", `a\ `: "", "$RECYCLE.BIN?": "stand for themselves",
		"/data/src/a b": "write /a b", "!/data/src/x/": "write /x/", "/data/src": "never left out",
		"/data/src/": "never left out",
		"/data/srcs": "", "~/x": "stand for themselves", `sub\x`: "backslash", `C:\Users\é`: "backslash", `a\*`: "",
		"a ": "white space", " a": "white space", "a\t": "white space", "a/": "directories only",
	} {
		excludes, err := source.ParseExcludes([]string{pattern})
		must(t, err)

		got := excludes.Unmatched("/data/src")[0].Hint
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q", pattern, got)
		}
	}
}

func TestExcludeLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "excludes")
	must(t, os.WriteFile(path, []byte("# x\r\n\r\na\r\nb\r\na\r\n"), 0o600))
	lines, err := source.ExcludeLines(path)
	must(t, err)

	if len(lines) != 2 || lines["a"] != 5 || lines["b"] != 4 {
		t.Errorf("got %v", lines)
	}
}
