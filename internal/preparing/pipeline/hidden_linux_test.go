package pipeline_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// covering is a file system that mounts something over a directory just before one of its files is looked at, and
// unmounts it as soon as the directory itself is looked at. The times of the directories do not show that.
type covering struct {
	source.FS
	t         *testing.T
	dir, file string
	// rounds is the number of times this still happens.
	mu     sync.Mutex
	rounds int
}

func (c *covering) Lstat(path string) (fs.FileInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if path == c.file && c.rounds > 0 {
		c.rounds--
		must(c.t, unix.Mount("tmpfs", c.dir, "tmpfs", 0, "size=64k"))
	}
	return c.FS.Lstat(path)
}

func (c *covering) Stat(path string) (fs.FileInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := c.FS.Stat(path)
	if path == c.dir {
		_ = unix.Unmount(c.dir, unix.MNT_DETACH)
	}
	return info, err
}

// TestWhatIsHiddenForAMomentIsScannedAgain checks that hidden files are scanned again although no directory has
// changed. Files that are hidden again then are listed.
func TestWhatIsHiddenForAMomentIsScannedAgain(t *testing.T) {
	for rounds := 1; rounds <= 2; rounds++ {
		enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
			root := tree(t, map[string]string{"a": "first", "d/f": "hidden", "z": "last"})
			dir := filepath.Join(root, "d")
			files := &covering{FS: source.Local(), t: t, dir: dir, file: filepath.Join(dir, "f"), rounds: rounds}
			t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })

			f := newFixture(t, db, files, root)

			// If the file is hidden only once, the second scan finds it.
			if rounds == 1 {
				equal(t, "root", f.complete().RootCID.String(), rootOf(t, root))
				return
			}

			result, err := f.run()
			must(t, err)
			equal(t, "state", result.Upload.State, sqlrepo.Incomplete)
			equal(t, "left out", len(f.leftOut()), 1)
			equal(t, "root", f.complete().RootCID.String(), rootOf(t, root))
		})
	}
}

// TestAMountPointThatIsCoveredWhileItIsListed checks that the mount point is not taken for empty.
func TestAMountPointThatIsCoveredWhileItIsListed(t *testing.T) {
	root := tree(t, map[string]string{"a": "first", "m/x": ""})
	point := filepath.Join(root, "m")
	must(t, unix.Mount("tmpfs", point, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
	must(t, os.WriteFile(filepath.Join(point, "f"), []byte("on the mount"), 0o600))
	held, err := source.Hold(root, source.Options{})
	must(t, err)
	defer held.Close() //nolint:errcheck // nothing was written
	f := newFixture(t, enginetest.Engines()[0].Open(t), &stacking{FS: held, t: t, point: point}, root)
	if _, err := f.run(); err == nil {
		t.Error("what was covered is not missed")
	}
}

// stacking covers a mount point while it is listed.
type stacking struct {
	source.FS
	t     *testing.T
	point string
}

func (s *stacking) ReadDir(path string) ([]fs.DirEntry, error) {
	if path == s.point {
		must(s.t, unix.Mount("tmpfs", s.point, "tmpfs", 0, "size=64k"))
		defer func() { must(s.t, unix.Unmount(s.point, unix.MNT_DETACH)) }()
	}
	return s.FS.ReadDir(path)
}
