package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// walk returns the entries that Walk yields.
func walk(t testing.TB, fsys source.FS, root string, opts source.Options) []sqlrepo.Entry {
	t.Helper()
	var entries []sqlrepo.Entry
	err := source.Walk(t.Context(), fsys, root, opts, func(e sqlrepo.Entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// outline describes each entry in one line: path, kind, state and reason.
func outline(entries []sqlrepo.Entry) string {
	var lines strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&lines, "%s %s", e.Path, e.Kind)
		if e.State != sqlrepo.Ready {
			fmt.Fprintf(&lines, " %d %s", e.State, e.Reason)
		}
		lines.WriteByte('\n')
	}
	return lines.String()
}

func expectOutline(t testing.TB, entries []sqlrepo.Entry, want ...string) {
	t.Helper()
	if got := outline(entries); got != strings.Join(want, "\n")+"\n" {
		t.Fatalf("got:\n%swant:\n%s", got, strings.Join(want, "\n"))
	}
}

var (
	failedMark      = fmt.Sprintf(" %d ", sqlrepo.Failed)
	unsupportedMark = fmt.Sprintf(" %d ", sqlrepo.Unsupported)
)

func mustWrite(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// naive is the obvious recursive walk. It sorts the entries at the end.
func naive(t testing.TB, root string) []sqlrepo.Entry {
	t.Helper()
	var entries []sqlrepo.Entry

	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}

		entries = append(entries, naiveEntry(t, path, relative))
		return nil
	})
	must(t, err)

	slices.SortFunc(entries, func(a, b sqlrepo.Entry) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return entries
}

func naiveEntry(t testing.TB, path, relative string) sqlrepo.Entry {
	t.Helper()
	p, err := sqlrepo.ParsePath(relative)
	must(t, err)
	var st syscall.Stat_t
	must(t, syscall.Lstat(path, &st))

	info, err := os.Lstat(path)
	must(t, err)

	e := sqlrepo.Entry{Path: p}
	e.ModTime, e.Mode = info.ModTime().UnixNano(), int32(uint32(st.Mode)&0o7777)

	switch info.Mode().Type() {
	case 0:
		e.Kind, e.Size = sqlrepo.File, st.Size
	case fs.ModeDir:
		e.Kind = sqlrepo.Directory
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		must(t, err)
		e.Kind, e.Target = sqlrepo.Symlink, []byte(target)
	}

	return e
}

func equalEntries(a, b sqlrepo.Entry) bool {
	return a.Path == b.Path && a.State == b.State && a.Reason == b.Reason && equalPrints(a.Fingerprint, b.Fingerprint)
}

func equalPrints(a, b sqlrepo.Fingerprint) bool {
	return a.Kind == b.Kind && a.Size == b.Size && a.ModTime == b.ModTime && a.Mode == b.Mode &&
		bytes.Equal(a.Target, b.Target)
}

// names sort differently as bytes, as text, and if "/" is an ordinary byte.
var names = []string{"a", "b", "A", "a-b", "a.b", "a b", "ab", "\x01", "a\x01", "\xff", "a\xff\xfe", "é", "\n", "~",
	"-",
	"!"}

// grow makes a random tree in dir.
func grow(t *rapid.T, tb testing.TB, dir string, depth int) {
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 6, rapid.ID).Draw(t, "names") {
		path := filepath.Join(dir, name)
		kind := rapid.IntRange(0, 3).Draw(t, "kind")
		switch {
		case kind == 0:
			must(tb, os.Symlink(rapid.SampledFrom([]string{"a", "..", "\xff", "/nowhere"}).Draw(t, "target"), path))
		case kind == 1 || depth == 0:
			must(tb, os.WriteFile(path, make([]byte, rapid.IntRange(0, 9).Draw(t, "size")), 0o600))
			must(tb, os.Chmod(path, rapid.SampledFrom([]fs.FileMode{0o644, 0o755 | fs.ModeSetuid, 0o700 | fs.ModeSticky,
				0o750 | fs.ModeSetgid}).Draw(t, "mode")))
		default:
			must(tb, os.Mkdir(path, 0o755))
			grow(t, tb, path, depth-1)
		}
	}
}

func TestWalkEqualsNaiveWalk(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(base, "tree")
		must(t, err)
		defer os.RemoveAll(root) //nolint:errcheck // the test's directory goes anyway

		grow(rt, t, root, 3)
		got := walk(t, source.Local(), root, source.Options{Readers: rapid.IntRange(0, 20).Draw(rt, "readers")})
		want := naive(t, root)
		if !slices.EqualFunc(got, want, equalEntries) {
			rt.Fatalf("got:\n%swant:\n%s", outline(got), outline(want))
		}

		for i := 1; i < len(got); i++ {
			if got[i-1].Path >= got[i].Path {
				rt.Fatalf("%q is yielded before %q", got[i-1].Path, got[i].Path)
			}
		}
	})
}

func TestWalkRoot(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "real/file"), "x")
	must(t, os.Symlink("real", filepath.Join(dir, "link")))
	must(t, os.Symlink("real/file", filepath.Join(dir, "filelink")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))

	for _, policy := range []source.SymlinkPolicy{source.PreserveSymlinks, source.FollowSymlinks, source.SkipSymlinks} {
		opts := source.Options{Symlinks: policy}
		expectOutline(t, walk(t, source.Local(), filepath.Join(dir, "real/file"), opts), ". file")
		expectOutline(t, walk(t, source.Local(), filepath.Join(dir, "filelink"), opts), ". file")
		expectOutline(t, walk(t, source.Local(), filepath.Join(dir, "link"), opts), ". directory", "file file")
		expectOutline(t, walk(t, source.Local(), filepath.Join(dir, "link")+"/", opts), ". directory", "file file")
	}
}

func TestWalkRefusesRoot(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	unreadable := sourcetest.NewSynthetic(sourcetest.Tree{Files: 1})
	unreadable.Fail(sourcetest.Root, "readdir", fs.ErrPermission)

	for _, test := range []struct {
		fsys source.FS
		root string
		want error
	}{
		{source.Local(), filepath.Join(dir, "missing"), fs.ErrNotExist},
		{source.Local(), filepath.Join(dir, "pipe"), source.ErrNotASource},
		{unreadable, sourcetest.Root, fs.ErrPermission},
	} {
		err := source.Walk(t.Context(), test.fsys, test.root, source.Options{}, func(e sqlrepo.Entry) error {
			t.Errorf("%s yielded %q", test.root, e.Path)
			return nil
		})

		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.root, err, test.want)
		}
	}
}

func TestWalkSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	must(t, syscall.Symlink("/dev/null", filepath.Join(dir, "null")))

	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	defer syscall.Close(socket) //nolint:errcheck // nothing was written
	t.Chdir(dir)                // the path of a socket is limited
	must(t, syscall.Bind(socket, &syscall.SockaddrUnix{Name: "socket"}))

	expectOutline(t, walk(t, source.Local(), dir, source.Options{Symlinks: source.FollowSymlinks}),
		". directory",
		"null special"+unsupportedMark+"character device",
		"pipe special"+unsupportedMark+"named pipe",
		"socket special"+unsupportedMark+"socket")
}

func TestWalkReportsFailures(t *testing.T) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 4, Files: 1})
	fsys.Fail(fsys.DirPath(0), "readdir", fs.ErrPermission)
	fsys.Fail(fsys.DirPath(1), "lstat", syscall.EIO)
	fsys.Remove(fsys.DirPath(2))
	fsys.Fail(fsys.FilePath(3, 0), "lstat", errors.New("odd \xff\x00"))

	expectOutline(t, walk(t, fsys, sourcetest.Root, source.Options{}),
		". directory",
		"d00000000 directory"+failedMark+"permission denied",
		"d00000001 file"+failedMark+"input/output error",
		"d00000003 directory",
		"d00000003/f00000000 file"+failedMark+"odd \uFFFD\uFFFD")
}

func TestWalkDirectoryVanishesBeforeItIsRead(t *testing.T) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 3})
	fsys.Fail(fsys.DirPath(2), "readdir", syscall.ENOTDIR)
	expectOutline(t, walk(t, vanishing{fsys, fsys.DirPath(1)}, sourcetest.Root, source.Options{}),
		". directory", "d00000000 directory", "d00000002 directory"+failedMark+"not a directory")
}

// vanishing is a file system with a directory that is removed before it is listed.
type vanishing struct {
	*sourcetest.Synthetic
	path string
}

func (v vanishing) ReadDir(path string) ([]fs.DirEntry, error) {
	if path == v.path {
		v.Remove(path)
	}
	return v.Synthetic.ReadDir(path)
}

// repeating is a file system that lists each name twice.
type repeating struct{ source.FS }

func (r repeating) ReadDir(path string) ([]fs.DirEntry, error) {
	entries, err := r.FS.ReadDir(path)
	return append(entries, entries...), err
}

func TestWalkYieldsRepeatedNamesOnce(t *testing.T) {
	fsys := repeating{sourcetest.NewSynthetic(sourcetest.Tree{Files: 2})}
	expectOutline(t, walk(t, fsys, sourcetest.Root, source.Options{}),
		". directory", "f00000000 file", "f00000001 file")
}

func TestWalkExcludes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/keep", "a/x.tmp", "cache/deep/file", "b/cache", "linkdir/in"} {
		mustWrite(t, filepath.Join(dir, name), "")
	}
	must(t, os.Symlink("linkdir", filepath.Join(dir, "link")))

	excludes, err := source.ParseExcludes([]string{"*.tmp", "cache/", "linkdir", "link/"})
	must(t, err)

	counting := sourcetest.NewCounting(source.Local())
	expectOutline(t, walk(t, counting, dir, source.Options{Excludes: excludes}),
		". directory", "a directory", "a/keep file", "b directory", "b/cache file", "link symlink")

	if n := counting.Path(filepath.Join(dir, "cache")).ReadDirs; n != 0 {
		t.Errorf("an excluded directory was read %d times", n)
	}

	if n := counting.Path(filepath.Join(dir, "a/x.tmp")).Lstats; n != 0 {
		t.Errorf("a file excluded by name was inspected %d times", n)
	}

	expectOutline(t, walk(t, counting, dir, source.Options{Excludes: excludes, Symlinks: source.FollowSymlinks}),
		". directory", "a directory", "a/keep file", "b directory", "b/cache file")
}

func TestWalkReturnsErrorOfYield(t *testing.T) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 50, Files: 50})
	for stopAt := range 200 {
		stop, n := errors.New("stop"), 0
		err := source.Walk(t.Context(), fsys, sourcetest.Root, source.Options{}, func(sqlrepo.Entry) error {
			if n == stopAt {
				return stop
			}
			n++
			return nil
		})

		if err != stop { //nolint:errorlint // as it is
			t.Fatalf("got %v", err)
		}
	}
	goleak.VerifyNone(t)
}

func TestWalkStopsWithContext(t *testing.T) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 1000, Files: 1000})
	cause := errors.New("enough")

	for _, stopAt := range []int{0, 1, 2, 100, 5000} {
		ctx, cancel := context.WithCancelCause(t.Context())
		n := 0

		err := source.Walk(ctx, fsys, sourcetest.Root, source.Options{}, func(sqlrepo.Entry) error {
			if n == stopAt {
				cancel(cause)
			}
			n++
			return nil
		})

		cancel(nil)
		if !errors.Is(err, cause) {
			t.Fatalf("got %v", err)
		}

		if n > stopAt+1 {
			t.Errorf("%d entries after the context ended", n-stopAt-1)
		}
	}
	goleak.VerifyNone(t)
}

func TestWalkWithEndedContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	counting := sourcetest.NewCounting(sourcetest.NewSynthetic(sourcetest.Tree{}))
	err := source.Walk(ctx, counting, sourcetest.Root, source.Options{}, nil)
	if !errors.Is(err, context.DeadlineExceeded) || counting.Total() != (sourcetest.Count{}) {
		t.Fatalf("got %v after %+v", err, counting.Total())
	}
}
