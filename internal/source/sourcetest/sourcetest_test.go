package sourcetest_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
)

func open(t *testing.T, fsys source.FS, path string) source.File {
	t.Helper()
	file, err := fsys.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func content(t *testing.T, fsys source.FS, path string) []byte {
	t.Helper()
	all, err := io.ReadAll(open(t, fsys, path))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSyntheticContent(t *testing.T) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 2, Files: 2, Size: 1003, Seed: 7})
	want := content(t, fsys, fsys.FilePath(1, 1))
	if len(want) != 1003 || bytes.Equal(want, content(t, fsys, fsys.FilePath(1, 0))) {
		t.Fatal("files have the wrong size, or the same content")
	}

	if err := iotest.TestReader(open(t, fsys, fsys.FilePath(1, 1)), want); err != nil {
		t.Error(err)
	}

	for off := range 20 {
		got := make([]byte, 30)
		_, err := open(t, fsys, fsys.FilePath(1, 1)).ReadAt(got, int64(off))
		if err != nil || !bytes.Equal(got, want[off:off+30]) {
			t.Fatalf("other bytes at %d: %v", off, err)
		}
	}
}

func TestSyntheticHasNothingElse(t *testing.T) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 1, Files: 1})
	for _, path := range []string{"/", "/other", sourcetest.Root + "/d1", fsys.DirPath(1), fsys.FilePath(0, 1),
		fsys.FilePath(0, 0) + "/x"} {
		if _, err := fsys.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestSyntheticChanges(t *testing.T) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Files: 1, Size: 100})
	path, broken := fsys.FilePath(0, 0), errors.New("broken")
	fsys.Change(path, 2)
	fsys.Truncate(path, 3, 10)
	fsys.FailRead(path, 4, broken)

	file, buffer := open(t, fsys, path), make([]byte, 50)
	first, _ := file.Stat()

	before := mustReadAt(t, file, buffer, 50)
	after := mustReadAt(t, file, buffer, 50)
	second, _ := file.Stat()
	if before == after || !second.ModTime().After(first.ModTime()) || second.Size() != 100 {
		t.Error("the second read changed nothing")
	}

	mustReadAt(t, file, buffer, 10)
	if info, err := fsys.Lstat(path); err != nil || info.Size() != 10 {
		t.Errorf("got %v, %v", info, err)
	}

	if _, err := file.ReadAt(buffer, 0); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	mustReadAt(t, file, buffer, 10)
}

func mustReadAt(t *testing.T, file source.File, buffer []byte, want int) string {
	t.Helper()
	n, err := file.ReadAt(buffer, 0)
	if n != want || (n == len(buffer)) != (err == nil) {
		t.Fatalf("read %d bytes, want %d: %v", n, want, err)
	}
	return string(buffer[:n])
}

func TestCounting(t *testing.T) {
	synthetic := sourcetest.NewSynthetic(sourcetest.Tree{Files: 2, Size: 100})
	fsys := sourcetest.NewCounting(synthetic)
	path := synthetic.FilePath(0, 0)

	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			file, err := fsys.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = file.ReadAt(make([]byte, 30), 90)
			_, _ = file.Read(make([]byte, 30))
		})
	}

	group.Wait()
	_, _ = fsys.Lstat(synthetic.FilePath(0, 1))
	_, _ = fsys.Open("missing")

	if got := fsys.Path(path); got != (sourcetest.Count{Opens: 10, Reads: 20, BytesRead: 400}) {
		t.Errorf("got %+v", got)
	}
	if got := fsys.Total(); got != (sourcetest.Count{Lstats: 1, Opens: 11, Reads: 20, BytesRead: 400}) {
		t.Errorf("got %+v", got)
	}

	fsys.Reset()
	if got := fsys.Total(); got != (sourcetest.Count{}) {
		t.Errorf("got %+v after reset", got)
	}
}
