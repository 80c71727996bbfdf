package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// recording records which paths are synced, in order, and fails at one path.
type recording struct {
	synced []string
	fails  string
}

var errSync = errors.New("no sync")

func (r *recording) sync(file *os.File) error {
	if file.Name() == r.fails {
		return errSync
	}
	r.synced = append(r.synced, file.Name())
	return file.Sync()
}

func (r *recording) check(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.synced, want) {
		t.Errorf("synced %q, want %q", r.synced, want)
	}
}

func TestEachParentOfADirectoryMadeIsSynced(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "a", "b", "c")
	var r recording
	if err := syncer(r.sync).makeDirectory(path, 0o700); err != nil {
		t.Fatal(err)
	}

	r.check(t, top, filepath.Join(top, "a"), filepath.Join(top, "a", "b"))
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("%v, %v", info, err)
	}

	if err := syncer(r.sync).makeDirectory(path, 0o700); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if len(r.synced) != 3 {
		t.Errorf("for one that is there, %q was synced", r.synced[3:])
	}
}

func TestADirectoryThatCannotBeSyncedIsAnError(t *testing.T) {
	top := t.TempDir()
	r := recording{fails: top}
	if err := syncer(r.sync).makeDirectory(filepath.Join(top, "a", "b"), 0o700); !errors.Is(err, errSync) {
		t.Errorf("make: %v", err)
	}
	if _, err := os.Stat(filepath.Join(top, "a", "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made in a directory that may be lost: %v", err)
	}
}

func TestMakeDirectory(t *testing.T) {
	top := t.TempDir()
	file, dangling, link := filepath.Join(top, "file"), filepath.Join(top, "dangling"), filepath.Join(top, "link")
	for _, err := range []error{
		os.WriteFile(file, nil, 0o600), os.Symlink("nowhere", dangling), os.Symlink(top, link),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}

	for path, want := range map[string]error{
		top:                             nil,
		top + "/new/":                   nil,
		top + "/one//./two/":            nil,
		filepath.Join(link, "new"):      nil,
		filepath.Join(link, "x", "y"):   nil,
		file:                            syscall.ENOTDIR,
		filepath.Join(file, "below"):    syscall.ENOTDIR,
		dangling:                        fs.ErrNotExist,
		filepath.Join(top, "nul\x00in"): syscall.EINVAL,
	} {
		if err := MakeDirectory(path, 0o700); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", path, err, want)
		}

		info, err := os.Stat(path)
		if want == nil && (err != nil || !info.IsDir()) {
			t.Errorf("%q: %v, %v", path, info, err)
		}
	}
}

func TestMakeDirectoryOfTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, path := range []string{"", ".", "a/b", "c"} {
		if err := MakeDirectory(path, 0o700); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	if info, err := os.Stat("a/b"); err != nil || !info.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
}

func TestManyMayMakeTheSameDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "c", "d")
	errs := make(chan error)
	for range 20 {
		go func() { errs <- MakeDirectory(path, 0o700) }()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestAFileIsSyncedBeforeItsDirectory(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "key")
	var r recording
	if err := syncer(r.sync).createFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}

	r.check(t, path, top)
	content, err := os.ReadFile(path)
	if err != nil || string(content) != "content" {
		t.Errorf("%q, %v", content, err)
	}

	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAFileThatFailsIsNotLeft(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "key")
	for _, fails := range []string{path, top} {
		r := recording{fails: fails}
		if err := syncer(r.sync).createFile(path, []byte("content"), 0o600); !errors.Is(err, errSync) {
			t.Errorf("create: %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is there: %v", err)
		}
	}
}

func TestAFileThatIsThereStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := CreateFile(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CreateFile(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create: %v", err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "first" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestAFileIsPublishedOnce(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "marker")
	errs := make(chan error)
	const many = 8

	for i := range many {
		go func() { errs <- PublishFile(path, slices.Repeat([]byte{byte('a' + i)}, 1000), 0o600) }()
	}

	published := 0
	for range many {
		switch err := <-errs; {
		case err == nil:
			published++
		case !errors.Is(err, fs.ErrExist):
			t.Error(err)
		}
	}

	// The file is the work of one process alone.
	content, err := os.ReadFile(path)
	if err != nil || len(content) != 1000 || published != 1 || slices.Min(content) != slices.Max(content) {
		t.Errorf("published %d times, as %q: %v", published, content, err)
	}

	checkAlone(t, path)
}

func TestAPublishedFileIsSyncedBeforeItHasItsName(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "marker")
	var synced []string
	note := func(file *os.File) error {
		if _, err := os.Stat(path); file.Name() != top && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it has its name before it is synced: %v", err)
		}

		synced = append(synced, filepath.Dir(file.Name()))
		return file.Sync()
	}
	if err := syncer(note).publishFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}

	if want := []string{top, filepath.Dir(top)}; !slices.Equal(synced, want) {
		t.Errorf("synced in %q, want %q", synced, want)
	}
	checkAlone(t, path)
}

func TestAPublishedFileThatFailsIsNotLeft(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "marker")
	fail := func(*os.File) error { return errSync }
	if err := syncer(fail).publishFile(path, []byte("content"), 0o600); !errors.Is(err, errSync) {
		t.Errorf("publish: %v", err)
	}
	if names, err := os.ReadDir(top); err != nil || len(names) != 0 {
		t.Errorf("left %v: %v", names, err)
	}
}

// checkAlone checks that no other file is left beside a file.
func checkAlone(t *testing.T, path string) {
	t.Helper()
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 || names[0].Name() != filepath.Base(path) {
		t.Errorf("the directory has %v: %v", names, err)
	}
}

func TestADirectoryThatIsGoneCannotBeSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone")
	if err := SyncDirectory(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sync: %v", err)
	}
}
