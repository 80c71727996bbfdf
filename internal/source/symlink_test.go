package source_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/internal/source"
)

func TestParseSymlinkPolicy(t *testing.T) {
	for _, p := range []source.SymlinkPolicy{source.PreserveSymlinks, source.FollowSymlinks, source.SkipSymlinks} {
		if got, err := source.ParseSymlinkPolicy(p.String()); err != nil || got != p {
			t.Errorf("%v is read as %v, %v", p, got, err)
		}
	}
	if _, err := source.ParseSymlinkPolicy("copy"); !errors.Is(err, source.ErrBadSymlinkPolicy) {
		t.Errorf("got %v", err)
	}
}

// plantLinks makes a tree with symlinks of all kinds and returns its root.
func plantLinks(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	mustWrite(t, filepath.Join(top, "outside/deep/file"), "12345")
	mustWrite(t, filepath.Join(top, "root/dir/file"), "123")

	for link, target := range map[string]string{
		"dangling":             "missing\xff",
		"dir/through":          "file/below",
		"dir/up":               "..",
		"file":                 "dir/file",
		"outside":              "../outside/deep",
		"self":                 "self",
		"sibling":              "dir",
		"top":                  "../..",
		"../outside/deep/back": "..",
	} {
		must(t, os.Symlink(target, filepath.Join(top, "root", link)))
	}

	return filepath.Join(top, "root")
}

func TestWalkFollowsSymlinks(t *testing.T) {
	root := plantLinks(t)
	entries := walk(t, source.Local(), root, source.Options{Symlinks: source.FollowSymlinks})
	expectOutline(t, entries,
		". directory",
		"dangling symlink"+failedMark+`dangling symlink to "missing\xff"`,
		"dir directory",
		"dir/file file",
		"dir/through symlink"+failedMark+`dangling symlink to "file/below"`,
		"dir/up symlink"+failedMark+`symlink cycle: ".." is a directory above it`,
		"file file",
		"outside directory",
		"outside/back symlink"+failedMark+`symlink cycle: ".." is a directory above it`,
		"outside/file file",
		"self symlink"+failedMark+`symlink cycle: "self" leads back to itself`,
		"sibling directory",
		"sibling/file file",
		"sibling/through symlink"+failedMark+`dangling symlink to "file/below"`,
		"sibling/up symlink"+failedMark+`symlink cycle: ".." is a directory above it`,
		"top symlink"+failedMark+`symlink cycle: "../.." is a directory above it`)

	for _, e := range entries {
		if e.Path == "outside\x00file" && e.Size != 5 {
			t.Errorf("%s has size %d", e.Path, e.Size)
		}
	}
}

func TestWalkPreservesSymlinks(t *testing.T) {
	root := plantLinks(t)
	entries := walk(t, source.Local(), root, source.Options{})
	expectOutline(t, entries, ". directory", "dangling symlink", "dir directory", "dir/file file", "dir/through symlink",
		"dir/up symlink", "file symlink", "outside symlink", "self symlink", "sibling symlink", "top symlink")
	if string(entries[1].Target) != "missing\xff" {
		t.Errorf("got the target %q", entries[1].Target)
	}
}

func TestWalkSkipsSymlinks(t *testing.T) {
	root := plantLinks(t)
	opts := source.Options{Symlinks: source.SkipSymlinks}
	expectOutline(t, walk(t, source.Local(), root, opts), ". directory", "dir directory", "dir/file file")
}
