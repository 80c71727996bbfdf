package source_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
	"pgregory.net/rapid"
)

func TestExcludesMatch(t *testing.T) {
	for _, test := range []struct {
		patterns string // separated by spaces
		path     string
		isDir    bool
		want     bool
	}{
		{"foo", "foo", false, true},
		{"foo", "a/foo", false, true},
		{"foo", "foo/a", false, true},
		{"foo", "foobar", false, false},
		{"foo/", "foo", false, false},
		{"foo/", "foo", true, true},
		{"foo/", "foo/a", false, true},
		{"/foo", "foo", false, true},
		{"/foo", "a/foo", false, false},
		{"a/foo", "a/foo", false, true},
		{"a/foo", "b/a/foo", false, false},
		{"*.txt !keep.txt", "keep.txt", false, false},
		{"*.txt !keep.txt *.txt", "keep.txt", false, true},
		{"*.txt !foo", "foo/a.txt", false, true},
		{"foo !foo/a", "foo/a", false, true},
		{"/* !/a /a/* !/a/b", "a/b", false, false},
		{"/* !/a /a/* !/a/b", "a/c", false, true},
		{"**/foo", "foo", false, true},
		{"**/foo", "a/b/foo", false, true},
		{"foo/**", "foo", true, false},
		{"foo/**", "foo/a/b", false, true},
		{"a/**/b", "a/b", false, true},
		{"a/**/b", "a/x/y/b", false, true},
		{"a/**/b", "a/xb", false, false},
		{"a**/b", "ax/y/b", false, false},
		{"a/*/b", "a/x/y/b", false, false},
		{"*a*c", "bagc", false, true},
		{"**/a*/b*c/**/d", "x/ab/bd/ay/bxc/q/d", false, true},
		{"?", "ab", false, false},
		{"?", "\xff", false, true},
		{"a?b", "a/b", false, false},
		{"[a-c]x", "bx", false, true},
		{"[!a-c]x", "bx", false, false},
		{"[^a-c]x", "dx", false, true},
		{"[]-]", "]", false, true},
		{"[[:digit:][:upper:]]", "7", false, true},
		{"[[:digit:]]", "x", false, false},
		{"a[!b]c", "a/c", false, false},
		{`\!a`, "!a", false, true},
		{`\#a`, "#a", false, true},
		{"#a", "#a", false, true},
		{`\*`, "x", false, false},
		{"\xff*", "\xff\xfe", false, true},
		{"é", "é", false, true},
		{"", "a", false, false},
		{"*", "", true, false},
	} {
		excludes, err := source.ParseExcludes(strings.Fields(test.patterns))
		must(t, err)
		path, err := sqlrepo.ParsePath(test.path)
		must(t, err)

		if got := excludes.Match(path, test.isDir); got != test.want {
			t.Errorf("%q of %q (directory: %v): got %v", test.patterns, test.path, test.isDir, got)
		}
	}

	if (*source.Excludes)(nil).Match("a", false) {
		t.Error("no patterns exclude something")
	}
}

func TestParseExcludesRefuses(t *testing.T) {
	for pattern, why := range map[string]string{
		"":          "component",
		"/":         "component",
		"!":         "component",
		"a//b":      "component",
		"./a":       `"."`,
		"a/../b":    `".."`,
		"[a":        "no end",
		"[":         "no end",
		"[]":        "no end",
		`[a\`:       "no end",
		"[a-":       "no end",
		"[z-a]":     "empty",
		"[[:word:]": `"word"`,
		`a\`:        "backslash",
		"a\x00":     "NUL",
	} {
		_, err := source.ParseExcludes([]string{"good", pattern})
		if !errors.Is(err, source.ErrBadPattern) {
			t.Errorf("%q: got %v", pattern, err)
			continue
		}

		if !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %q does not say %q", pattern, err, why)
		}
	}
}

func TestReadExcludeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "excludes")
	must(t, os.WriteFile(path, []byte("\uFEFFa\n\n# comment\r\n  \nb \r\nc\\ \n\\#d\nx\\\\ \n\xff\n y\ne"), 0o600))
	got, err := source.ReadExcludeFile(path)
	must(t, err)

	want := []string{"a", "b", `c\ `, `\#d`, `x\\`, "\xff", " y", "e"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	must(t, os.WriteFile(path, []byte("\xff\xfea\x00\r\x00\n\x00b\x00"), 0o600))
	if got, err := source.ReadExcludeFile(path); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("of UTF-16, got %q, %v", got, err)
	}

	must(t, os.WriteFile(path, []byte("a\nb\x00"), 0o600))
	_, err = source.ReadExcludeFile(path)
	if err == nil || !strings.Contains(err.Error(), "excludes: line 2 contains a NUL") {
		t.Errorf("got %v", err)
	}

	if _, err := source.ReadExcludeFile(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// orchard makes a tree of names that random patterns often match.
func orchard(t *testing.T, dir string, depth int) {
	for _, name := range []string{"a", "b", "ab", "a.b", "-", "\xff", "é", "!a", "#b", "B"} {
		path := filepath.Join(dir, name)
		// Some names are files at every depth.
		if depth > 0 && name != "-" && name != "B" {
			must(t, os.Mkdir(path, 0o755))
			orchard(t, path, depth-1)
		} else {
			must(t, os.WriteFile(path, nil, 0o644))
		}
	}
}

// patternOf draws a pattern whose "**" are whole components. For other "**", Git contradicts its own
// documentation.
func patternOf(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{"a", "b", "ab", ".", "-", "\xff", "é", "?", "*", "[a-b]", "[!a]", "[^-b]",
		`\a`, `\*`, `\!`, `\#`, "#", "[[:alpha:]]", "[]a]", "[[:upper:]b]", `[\]-a]`, "[--a]"})

	component := rapid.OneOf(rapid.Just("**"), rapid.Just("*"), rapid.Custom(func(t *rapid.T) string {
		joined := strings.Join(rapid.SliceOfN(piece, 1, 3).Draw(t, "pieces"), "")
		return strings.ReplaceAll(joined, "**", "*")
	}))

	pattern := strings.Join(rapid.SliceOfN(component, 1, 4).Draw(t, "components"), "/")
	prefix := rapid.SampledFrom([]string{"", "", "/", "!", "!/"}).Draw(t, "prefix")
	return prefix + pattern + rapid.SampledFrom([]string{"", "", "/"}).Draw(t, "suffix")
}

func TestExcludesAgreeWithGit(t *testing.T) {
	repo, config := filepath.Join(t.TempDir(), "repo"), filepath.Join(t.TempDir(), "patterns")
	must(t, os.Mkdir(repo, 0o755))
	git(t, repo, nil, "init", "-q")
	must(t, os.WriteFile(filepath.Join(repo, ".git/info/exclude"), nil, 0o644))
	orchard(t, repo, 2)

	entries := slices.DeleteFunc(naive(t, repo), func(e sqlrepo.Entry) bool {
		return e.Path == "" || e.Path == ".git" || sqlrepo.Path(".git").Contains(e.Path)
	})
	var stdin bytes.Buffer
	for _, e := range entries {
		stdin.WriteString("./" + e.Path.String() + "\x00")
	}

	rapid.Check(t, func(rt *rapid.T) {
		patterns := rapid.SliceOfN(rapid.Custom(patternOf), 1, 5).Draw(rt, "patterns")
		if _, err := source.ParseExcludes(patterns); errors.Is(err, source.ErrBadPattern) {
			return
		}

		// A "#" would start a comment in Git's file.
		patterns = slices.DeleteFunc(patterns, func(p string) bool { return p[0] == '#' })
		excludes, err := source.ParseExcludes(patterns)
		must(t, err)
		must(t, os.WriteFile(config, []byte(strings.Join(patterns, "\n")+"\n"), 0o600))

		output := git(t, repo, stdin.Bytes(), "-c", "core.excludesFile="+config,
			"check-ignore", "--no-index", "-z", "--stdin")
		ignored := map[string]bool{}
		for path := range strings.SplitSeq(strings.TrimSuffix(output, "\x00"), "\x00") {
			ignored[path] = true
		}

		for _, e := range entries {
			got, want := excludes.Match(e.Path, e.Kind == sqlrepo.Directory), ignored["./"+e.Path.String()]
			if got != want {
				rt.Fatalf("%q (%v) under %q: got %v, Git says %v", e.Path, e.Kind, patterns, got, want)
			}
		}
	})
}

// git runs git in a directory and returns its output.
func git(t *testing.T, dir string, stdin []byte, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir, command.Stdin = dir, bytes.NewReader(stdin)
	command.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")

	output, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && len(exit.Stderr) == 0 {
		// The command check-ignore found nothing.
		return ""
	}
	must(t, err)
	return string(output)
}

func FuzzExcludes(f *testing.F) {
	for _, seed := range []string{"a", "**/[!a-c]*", "/a/**/b/", `!\[`, "[[:alpha:]-z]", "*?*?*a**"} {
		f.Add(seed, "a/b/c")
	}
	f.Fuzz(func(t *testing.T, pattern, relative string) {
		path, err := sqlrepo.ParsePath(relative)
		if err != nil {
			return
		}

		excludes, err := source.ParseExcludes([]string{pattern})
		if err != nil {
			if !errors.Is(err, source.ErrBadPattern) {
				t.Fatal(err)
			}
			return
		}

		if excludes.Match(path, false) && !excludes.Match(path, true) {
			t.Errorf("%q excludes %q only where it is no directory", pattern, relative)
		}

		if excludes.Match(path.Parent(), true) && !excludes.Match(path, false) {
			t.Errorf("%q excludes the directory above %q only", pattern, relative)
		}
	})
}
