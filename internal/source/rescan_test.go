package source_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestRescan(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"file", "dir/file", "x.tmp"} {
		mustWrite(t, filepath.Join(root, name), "content")
	}
	must(t, os.Symlink("dir", filepath.Join(root, "link")))
	must(t, syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600))
	excludes, err := source.ParseExcludes([]string{"*.tmp"})
	must(t, err)
	for _, test := range []struct {
		path   sqlrepo.Path
		policy source.SymlinkPolicy
		kind   sqlrepo.EntryKind
		reason string
	}{
		{"file", source.PreserveSymlinks, sqlrepo.File, ""},
		{"dir\x00file", source.SkipSymlinks, sqlrepo.File, ""},
		{"missing", source.PreserveSymlinks, sqlrepo.File, "vanished"},
		{"file\x00below", source.PreserveSymlinks, sqlrepo.File, "vanished"},
		{"missing\x00below", source.PreserveSymlinks, sqlrepo.File, "vanished"},
		{"link\x00file", source.PreserveSymlinks, sqlrepo.File, "vanished"},
		{"link\x00file", source.SkipSymlinks, sqlrepo.File, "vanished"},
		{"link\x00file", source.FollowSymlinks, sqlrepo.File, ""},
		{"link", source.PreserveSymlinks, sqlrepo.Symlink, ""},
		{"link", source.SkipSymlinks, sqlrepo.Symlink, "is now a symlink"},
		{"link", source.FollowSymlinks, sqlrepo.Directory, "is now a directory"},
		{"dir", source.PreserveSymlinks, sqlrepo.Directory, "is now a directory"},
		{"", source.PreserveSymlinks, sqlrepo.Directory, "is now a directory"},
		{"pipe", source.PreserveSymlinks, sqlrepo.Special, "is now a named pipe"},
		{"x.tmp", source.PreserveSymlinks, sqlrepo.File, "is excluded"},
	} {
		opts := source.Options{Excludes: excludes, Symlinks: test.policy}
		got, err := source.Rescan(t.Context(), source.Local(), root, opts, test.path)
		must(t, err)
		failed := got.State == sqlrepo.Failed
		if got.Path != test.path || got.Kind != test.kind || got.Reason != test.reason || failed != (test.reason != "") {
			t.Errorf("%v with %v: got %+v", test.path, test.policy, got)
		}
	}
}

func TestRescanSeesChange(t *testing.T) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 1, Files: 2, Size: 10})
	before := walk(t, fsys, sourcetest.Root, source.Options{})[2]
	fsys.Change(fsys.FilePath(0, 0), 0)
	after, err := source.Rescan(t.Context(), fsys, sourcetest.Root, source.Options{}, before.Path)
	must(t, err)
	if after.State != sqlrepo.Ready || equalPrints(after.Fingerprint, before.Fingerprint) {
		t.Errorf("got %+v after %+v", after, before)
	}
	fsys.Fail(fsys.DirPath(0), "lstat", fs.ErrPermission)
	after, err = source.Rescan(t.Context(), fsys, sourcetest.Root, source.Options{}, before.Path)
	must(t, err)
	if after.State != sqlrepo.Failed || after.Reason != "permission denied" || after.Path != before.Path {
		t.Errorf("got %+v", after)
	}
}

func TestRescanFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "unmounted")
	_, err := source.Rescan(t.Context(), source.Local(), missing, source.Options{}, "a")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing source: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []sqlrepo.Path{"", "f00000000"} {
		fsys := sourcetest.NewSynthetic(sourcetest.Tree{Files: 1})
		_, err = source.Rescan(ctx, fsys, sourcetest.Root, source.Options{}, path)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended context, %v: got %v", path, err)
		}
	}
}
