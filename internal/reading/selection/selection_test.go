package selection_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/reading/selection"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		include, exclude []string
		path             string
		isDir            bool
		want             selection.Verdict
	}{
		{nil, nil, "a", false, selection.Selected},
		{[]string{"*.jpg"}, nil, "", true, selection.Selected},
		{[]string{"*.jpg"}, nil, "a", true, selection.Passed},
		{[]string{"*.jpg"}, nil, "a/b.jpg", false, selection.Selected},
		{[]string{"*.jpg"}, nil, "a/b.txt", false, selection.Skipped},
		{[]string{"/a/b"}, nil, "a/b/c/d", false, selection.Selected},
		{[]string{"/a/b"}, []string{"c/"}, "a/b/c", true, selection.Skipped},
		{nil, []string{"*.tmp"}, "a", true, selection.Selected},
		{nil, []string{"*.tmp"}, "a/b.tmp", false, selection.Skipped},
		{nil, []string{"*.tmp", "!keep.tmp"}, "keep.tmp", false, selection.Selected},
	} {
		selected, err := selection.New(c.include, c.exclude)
		if err != nil {
			t.Fatal(err)
		}
		path, err := sqlrepo.ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := selected.Judge(path, c.isDir); got != c.want {
			t.Errorf("%q %q on %s: %d, want %d", c.include, c.exclude, c.path, got, c.want)
		}
	}

	if _, err := selection.New([]string{"["}, nil); !errors.Is(err, source.ErrBadPattern) {
		t.Errorf("got %v", err)
	}
	if _, err := selection.New(nil, []string{"["}); !errors.Is(err, source.ErrBadPattern) {
		t.Errorf("got %v", err)
	}
}

// TestNothingSelectedIsBelowWhatIsSkipped draws patterns and paths: a walk that skips directories misses nothing.
func TestNothingSelectedIsBelowWhatIsSkipped(t *testing.T) {
	pattern := rapid.SampledFrom([]string{"a", "b/", "/a/b", "*", "**/c", "!a", "!/a/b", "a/**", "[bc]"})
	rapid.Check(t, func(t *rapid.T) {
		selected, err := selection.New(rapid.SliceOfN(pattern, 0, 3).Draw(t, "include"),
			rapid.SliceOfN(pattern, 0, 3).Draw(t, "exclude"))
		if err != nil {
			t.Fatal(err)
		}

		names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 5).Draw(t, "names")
		var verdicts []selection.Verdict
		for n := range names {
			path := sqlrepo.Path(strings.Join(names[:n+1], "\x00"))
			verdicts = append(verdicts, selected.Judge(path, n+1 < len(names)))
		}
		if skipped := slices.Index(verdicts, selection.Skipped); skipped >= 0 &&
			slices.Contains(verdicts[skipped:], selection.Selected) {
			t.Fatalf("%q: %v", names, verdicts)
		}
	})
}
