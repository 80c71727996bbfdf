package retrieve_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/internal/reading/retrieve"
	"github.com/guppy-prep/guppy/internal/reading/selection"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
)

// album is a tree with directories at several depths.
func album(s *treetest.Store) tree.Link {
	return s.Directory("",
		s.Directory("2024", s.Directory("rome", s.Raw("a.jpg", "rome"), s.Raw("notes.txt", "n")), s.Raw("b.jpg", "b")),
		s.Directory("2025", s.Directory("paris", s.Raw("c.txt", "c")), s.File("d.jpg", "d", "dd")),
		s.Symlink("latest.jpg", "2025/d.jpg"))
}

func selecting(t *testing.T, include, exclude []string) func(*retrieve.Retriever) {
	t.Helper()
	selected := must(selection.New(include, exclude))(t)
	return func(r *retrieve.Retriever) { r.Select = selected }
}

func TestOnlyWhatIsSelectedIsWritten(t *testing.T) {
	s := treetest.New()
	root := album(s)
	for _, c := range []struct {
		include, exclude []string
		want             map[string]string
	}{
		{[]string{"*.jpg"}, nil, map[string]string{
			"2024/": "", "2024/rome/": "", "2024/rome/a.jpg": "rome", "2024/b.jpg": "b", "2025/": "", "2025/d.jpg": "ddd",
			"latest.jpg": "-> 2025/d.jpg"}},
		{[]string{"rome"}, []string{"*.txt"}, map[string]string{"2024/": "", "2024/rome/": "", "2024/rome/a.jpg": "rome"}},
		{nil, []string{"/2024", "*.jpg"}, map[string]string{"2025/": "", "2025/paris/": "", "2025/paris/c.txt": "c"}},
	} {
		out := filepath.Join(t.TempDir(), "out")
		chosen := selecting(t, c.include, c.exclude)
		planned := map[string]string{}
		dry := dryRun(t, s, root, out, func(p retrieve.Planned) { planned[p.Path] = p.State }, chosen)

		sum := must(to(t, s, root, out, chosen))(t)
		same(t, "selected", files(t, out), c.want)
		if dry.Files != sum.Files || dry.Directories != sum.Directories || dry.Bytes != sum.Bytes ||
			dry.Symlinks != sum.Symlinks {
			t.Errorf("%q %q: a dry run counts %+v, the run %+v", c.include, c.exclude, dry, sum)
		}
		if len(planned) != len(files(t, out))+1 { // and the beginning
			t.Errorf("%q %q: planned is %v", c.include, c.exclude, planned)
		}
		for path, state := range planned {
			if _, err := os.Lstat(filepath.Join(out, path)); err != nil || state != retrieve.New {
				t.Errorf("%q %q: %s was planned as %s: %v", c.include, c.exclude, path, state, err)
			}
		}
	}
}

// TestNothingIsMadeIfNothingIsSelected looks for what is included before it makes the directory.
func TestNothingIsMadeIfNothingIsSelected(t *testing.T) {
	s := treetest.New()
	root := album(s)
	found := must(tree.Resolve(t.Context(), s, tree.Path{Root: root.CID}))(t)
	for _, include := range []string{"nothing", "*.jpg"} {
		out := filepath.Join(t.TempDir(), "out")
		r := retrieve.Retriever{Blocks: s, Workers: 1, Select: must(selection.New([]string{include}, []string{"*.jpg"}))(t)}
		if _, err := r.To(t.Context(), found, out); !errors.Is(err, retrieve.ErrNothingSelected) {
			t.Errorf("%s: got %v", include, err)
		}
		_, err := r.DryRun(t.Context(), found, out, func(retrieve.Planned) error { return nil })
		if !errors.Is(err, retrieve.ErrNothingSelected) {
			t.Errorf("%s: a dry run got %v", include, err)
		}
		if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the directory was made: %v", include, err)
		}
	}
}

func dryRun(t *testing.T, s *treetest.Store, root tree.Link, out string, show func(retrieve.Planned),
	change func(*retrieve.Retriever)) retrieve.Summary {
	t.Helper()
	r := retrieve.Retriever{Blocks: s, Workers: 1}
	change(&r)
	found := must(tree.Resolve(t.Context(), s, tree.Path{Root: root.CID}))(t)
	return must(r.DryRun(t.Context(), found, out, func(p retrieve.Planned) error {
		show(p)
		return nil
	}))(t)
}

// TestADryRunSaysWhatIsThere runs over a directory in which some entries are there, and others differ.
func TestADryRunSaysWhatIsThere(t *testing.T) {
	s := treetest.New()
	root, out := album(s), t.TempDir()
	for path, content := range map[string]string{"2025/d.jpg": "xxx", "2024/b.jpg": "longer"} {
		ok(t, os.MkdirAll(filepath.Join(out, filepath.Dir(path)), 0o755))
		ok(t, os.WriteFile(filepath.Join(out, path), []byte(content), 0o600))
	}
	ok(t, os.WriteFile(filepath.Join(out, "2024", "rome"), nil, 0o600))
	ok(t, os.Symlink("2025/d.jpg", filepath.Join(out, "latest.jpg")))
	before := files(t, out)

	var got []string
	sum := dryRun(t, s, root, out, func(p retrieve.Planned) { got = append(got, p.State+" "+p.Path) },
		func(*retrieve.Retriever) {})
	want := []string{
		"present .", "present 2024", "differs 2024/b.jpg", "differs 2024/rome", "differs 2024/rome/a.jpg",
		"differs 2024/rome/notes.txt", "present 2025", "present 2025/d.jpg", "new 2025/paris", "new 2025/paris/c.txt",
		"present latest.jpg",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if sum.Files != 5 || sum.Kept != 3 {
		t.Errorf("got %+v", sum)
	}
	same(t, "untouched", files(t, out), before)

	for c := range s.Fetched {
		if c.Type() == 0x55 {
			t.Errorf("the content of %s was read", c)
		}
	}
}
