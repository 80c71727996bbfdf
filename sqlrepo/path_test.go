package sqlrepo_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestParsePathRefusesWhatIsNoRelativePath(t *testing.T) {
	for _, bad := range []string{"/", "/a", "a/", "a//b", "./a", "a/.", "..", "a/../b", "a\x00b", "\x00"} {
		if _, err := sqlrepo.ParsePath(bad); !errors.Is(err, sqlrepo.ErrBadPath) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

func TestPathOfSource(t *testing.T) {
	for _, name := range []string{"", "."} {
		path, err := sqlrepo.ParsePath(name)
		if err != nil || path != "" {
			t.Errorf("%q: %q, %v", name, path, err)
		}
	}
	var source sqlrepo.Path
	if source.Name() != "" || source.Parent() != "" || source.Components() != nil || source.String() != "." ||
		source.Contains(source) || !source.Contains("a") {
		t.Error("the source itself has a name, components, or lies below itself")
	}
}

// FuzzPath holds paths against their components, which are the simplest picture of them.
func FuzzPath(f *testing.F) {
	for _, pair := range [][2]string{
		{"", "a"}, {"a/b", "a-b"}, {"a", "a/b"}, {"a b\n", "\xff/\x01"}, {"..a/b.", "/"}, {"a", "a"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		a, errA := sqlrepo.ParsePath(first)
		b, errB := sqlrepo.ParsePath(second)
		checkPath(t, first, a, errA)
		checkPath(t, second, b, errB)
		if errA != nil || errB != nil {
			return
		}
		ca, cb := a.Components(), b.Components()
		if order := slices.Compare(ca, cb); order != cmp.Compare(a, b) {
			t.Errorf("%q and %q compare as %d", a, b, cmp.Compare(a, b))
		}
		below := len(cb) > len(ca) && slices.Equal(ca, cb[:len(ca)])
		if a.Contains(b) != below {
			t.Errorf("%q contains %q: %t", a, b, !below)
		}
	})
}

func checkPath(t *testing.T, text string, path sqlrepo.Path, err error) {
	t.Helper()
	parts := strings.Split(text, "/")
	bad := func(name string) bool {
		return name == "" || name == "." || name == ".." || strings.Contains(name, "\x00")
	}
	if isSource := text == "" || text == "."; (err != nil) != (!isSource && slices.ContainsFunc(parts, bad)) {
		t.Fatalf("%q: error %v", text, err)
	}
	if err != nil {
		return
	}
	if again, err := sqlrepo.ParsePath(path.String()); err != nil || again != path {
		t.Errorf("%q became %q, %v", path, again, err)
	}
	joined := sqlrepo.Path("")
	for _, name := range path.Components() {
		child := joined.Join(name)
		if child.Name() != name || child.Parent() != joined || !joined.Contains(child) {
			t.Errorf("%q joined with %q is %q", joined, name, child)
		}
		joined = child
	}
	if joined != path {
		t.Errorf("the components of %q make %q", path, joined)
	}
}
