package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

var shortages = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM}

// broken are the errors that an entry may give when its source goes away.
var broken = []error{syscall.EIO, syscall.ESTALE, syscall.ENOTCONN, syscall.ETIMEDOUT, fs.ErrNotExist, syscall.ENOTDIR}

func TestExhausted(t *testing.T) {
	for _, err := range shortages {
		if !source.Exhausted(fmt.Errorf("wrapped: %w", &fs.PathError{Op: "open", Path: "x", Err: err})) {
			t.Errorf("%v is no shortage", err)
		}
	}

	for _, err := range append(slices.Clone(broken), nil, fs.ErrPermission, errors.New("too many open files")) {
		if source.Exhausted(err) {
			t.Errorf("%v is a shortage", err)
		}
	}
}

func TestFatal(t *testing.T) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Files: 1})
	expect := func(err, want error) {
		t.Helper()
		got := source.Fatal(fsys, sourcetest.Root, &fs.PathError{Op: "open", Path: "x", Err: err})
		if !errors.Is(got, want) || want == nil && got != nil {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	}

	for _, err := range broken {
		expect(err, nil)
	}
	expect(fs.ErrPermission, nil)

	fsys.Fail(sourcetest.Root, "stat", syscall.ESTALE)
	for _, err := range broken {
		expect(err, source.ErrGone)
		expect(err, syscall.ESTALE)
	}
	// A lack of permission concerns the entry alone, whatever becomes of the source.
	expect(fs.ErrPermission, nil)

	for _, err := range shortages {
		expect(err, err)
	}
}

// walkError walks a tree whose failures must not be blamed on any entry.
func walkError(t *testing.T, fsys source.FS, root string, opts source.Options) error {
	t.Helper()
	return source.Walk(t.Context(), fsys, root, opts, func(e sqlrepo.Entry) error {
		if e.State != sqlrepo.Ready {
			t.Errorf("%s is blamed: %s", e.Path, e.Reason)
		}
		return nil
	})
}

func TestAShortageIsBlamedOnNoEntry(t *testing.T) {
	tree := sourcetest.Tree{Dirs: 3, Files: 3}
	for _, shortage := range shortages {
		for op, at := range map[string]func(*sourcetest.Synthetic) string{
			"readdir": func(s *sourcetest.Synthetic) string { return s.DirPath(1) },
			"lstat":   func(s *sourcetest.Synthetic) string { return s.FilePath(1, 1) },
			"stat":    func(*sourcetest.Synthetic) string { return sourcetest.Root },
		} {
			fsys := sourcetest.NewSynthetic(tree)
			fsys.Fail(at(fsys), op, shortage)
			if err := walkError(t, fsys, sourcetest.Root, source.Options{}); !errors.Is(err, shortage) {
				t.Errorf("%s: got %v, want %v", op, err, shortage)
			}
		}
	}
}

// losing is a file system whose root fails once a call on a certain path has failed.
type losing struct {
	*sourcetest.Synthetic
	path string
}

func (l losing) Lstat(path string) (fs.FileInfo, error) {
	info, err := l.Synthetic.Lstat(path)
	l.lose(path, err)
	return info, err
}

func (l losing) ReadDir(path string) ([]fs.DirEntry, error) {
	entries, err := l.Synthetic.ReadDir(path)
	l.lose(path, err)
	return entries, err
}

func (l losing) lose(path string, err error) {
	if path == l.path && err != nil {
		l.Fail(sourcetest.Root, "stat", syscall.ESTALE)
	}
}

func TestALostSourceIsBlamedOnNoEntry(t *testing.T) {
	for _, failure := range broken {
		for op, at := range map[string]func(*sourcetest.Synthetic) string{
			"readdir": func(s *sourcetest.Synthetic) string { return s.DirPath(1) },
			"lstat":   func(s *sourcetest.Synthetic) string { return s.FilePath(1, 1) },
		} {
			fsys := sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 3, Files: 3})
			lost := losing{fsys, at(fsys)}
			fsys.Fail(lost.path, op, failure)
			err := walkError(t, lost, sourcetest.Root, source.Options{})
			if !errors.Is(err, source.ErrGone) || !errors.Is(err, syscall.ESTALE) {
				t.Errorf("%s, %v: got %v", op, failure, err)
			}
		}
	}
}

// brokenLinks is a file system that fails on one symlink.
type brokenLinks struct {
	source.FS
	path, op string
	err      error
}

func (b brokenLinks) Readlink(path string) (string, error) {
	if b.op == "readlink" && path == b.path {
		return "", &fs.PathError{Op: b.op, Path: path, Err: b.err}
	}
	return b.FS.Readlink(path)
}

func (b brokenLinks) Stat(path string) (fs.FileInfo, error) {
	if b.op == "stat" && path == b.path {
		return nil, &fs.PathError{Op: b.op, Path: path, Err: b.err}
	}
	return b.FS.Stat(path)
}

func TestAShortageIsBlamedOnNoSymlink(t *testing.T) {
	root := t.TempDir()
	mustWrite(t, filepath.Join(root, "file"), "")
	link := filepath.Join(root, "link")
	must(t, os.Symlink("file", link))

	opts := source.Options{Symlinks: source.FollowSymlinks}
	for _, op := range []string{"readlink", "stat"} {
		for _, shortage := range shortages {
			fsys := brokenLinks{source.Local(), link, op, shortage}
			if err := walkError(t, fsys, root, opts); !errors.Is(err, shortage) {
				t.Errorf("%s: got %v, want %v", op, err, shortage)
			}
		}

		expectOutline(t, walk(t, brokenLinks{source.Local(), link, op, syscall.EIO}, root, opts),
			". directory", "file file", "link symlink"+failedMark+"input/output error")
	}
}

func TestReason(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "/secret", Err: syscall.EIO}, "input/output error"},
		{fmt.Errorf("wrapped: %w", &fs.PathError{Op: "open", Path: "/secret", Err: syscall.EACCES}), "permission denied"},
		{errors.New("odd \xff\x00"), "odd \uFFFD\uFFFD"},
	} {
		if got := source.Reason(test.err); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
