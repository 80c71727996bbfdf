package source_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestOSPath(t *testing.T) {
	for _, test := range []struct {
		root string
		path sqlrepo.Path
		want string
	}{
		{"/data", "", "/data"},
		{"/data", "a", "/data/a"},
		{"/data/", "a\x00b", "/data/a/b"},
		{"/", "a", "/a"},
		{".", "a", "./a"},
		{"link/..", "\xff", "link/../\xff"},
	} {
		if got := source.OSPath(test.root, test.path); got != test.want {
			t.Errorf("%q of %q: got %q, want %q", test.path, test.root, got, test.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	mustWrite(t, path, "12345")
	modified := time.Unix(1700000000, 123456789)
	must(t, os.Chtimes(path, time.Time{}, modified))
	must(t, os.Chmod(path, 0o750|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))

	info, err := source.Local().Lstat(path)
	must(t, err)

	want := sqlrepo.Fingerprint{Kind: sqlrepo.File, Size: 5, ModTime: modified.UnixNano(), Mode: 0o7750}
	if got := source.Fingerprint(info, []byte("ignored")); !equalPrints(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	info, err = source.Local().Lstat(filepath.Dir(path))
	must(t, err)
	if got := source.Fingerprint(info, nil); got.Kind != sqlrepo.Directory || got.Size != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestLocalReadDir(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "sub/file"), "")
	must(t, os.Symlink("sub", filepath.Join(dir, "link")))

	entries, err := source.Local().ReadDir(dir)
	must(t, err)

	got := map[string]fs.FileMode{}
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		if e.Type() != info.Mode().Type() || e.IsDir() != info.IsDir() {
			t.Errorf("%s is a %v and a %v", e.Name(), e.Type(), info.Mode())
		}
		got[e.Name()] = e.Type()
	}

	if len(got) != 2 || got["sub"] != fs.ModeDir || got["link"] != fs.ModeSymlink {
		t.Errorf("got %v", got)
	}
}

func TestLocalNeverBlocksOnPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))

	file, err := source.Local().Open(pipe)
	must(t, err)
	defer file.Close() //nolint:errcheck // nothing was written

	info, err := file.Stat()
	must(t, err)
	if source.Fingerprint(info, nil).Kind != sqlrepo.Special {
		t.Errorf("got %v", info.Mode())
	}

	if _, err := source.Local().ReadDir(pipe); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("got %v", err)
	}
}
