package pipeline_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// changing is a source of some files that counts their reads.
type changing struct {
	*fixture
	root  string
	fs    *sourcetest.Counting
	first sqlrepo.CID
}

// newChanging prepares the source once, on a file system with the given traits.
func newChanging(t *testing.T, traits source.Traits) *changing {
	t.Helper()
	root := tree(t, map[string]string{"a": "first", "b": "other", "d/c": "third"})
	return newChangingAt(t, root, traits)
}

func newChangingAt(t *testing.T, root string, traits source.Traits) *changing {
	t.Helper()
	counting := sourcetest.NewCounting(source.Local())
	c := &changing{
		fixture: newFixture(t, enginetest.Engines()[0].Open(t), described{counting, traits}, root), root: root, fs: counting,
	}
	c.first = c.complete().RootCID
	c.fs.Reset()
	return c
}

// described is a file system with other traits than its own.
type described struct {
	source.FS
	traits source.Traits
}

func (d described) Traits(string) source.Traits { return d.traits }

func (c *changing) path(name string) string { return filepath.Join(c.root, name) }

// again prepares the source again and checks which files were read.
func (c *changing) again(t *testing.T, want ...string) sqlrepo.Upload {
	t.Helper()
	upload := c.complete()
	for _, name := range []string{"a", "b", "d/c"} {
		read := c.fs.Path(c.path(name)).BytesRead > 0
		if read != strings.Contains(" "+strings.Join(want, " ")+" ", " "+name+" ") {
			t.Errorf("%s was read: %t", name, read)
		}
	}
	c.fs.Reset()
	return upload
}

// rewrite replaces the content of a file by other content of the same length, and keeps its time.
func rewrite(t *testing.T, path, content string) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(content), info.Mode()))
	must(t, os.Chtimes(path, time.Time{}, info.ModTime()))
}

// TestWhatHasChangedIsRead changes files in different ways and checks that no other files are read.
func TestWhatHasChangedIsRead(t *testing.T) {
	t.Parallel()
	c := newChanging(t, source.Traits{})
	c.again(t)

	rewrite(t, c.path("a"), "FIRST")
	second := c.again(t, "a")
	if second.RootCID == c.first {
		t.Error("a file that was written with its time set back is not seen")
	}

	// The new file has the length and time of the old one, but another inode.
	info, err := os.Stat(c.path("b"))
	must(t, err)
	must(t, os.WriteFile(c.path("n"), []byte("OTHER"), 0o644))
	must(t, os.Chtimes(c.path("n"), time.Time{}, info.ModTime()))
	must(t, os.Rename(c.path("n"), c.path("b")))
	third := c.again(t, "b")
	if third.RootCID == second.RootCID {
		t.Error("a file that took another's place is not seen")
	}

	// A change of the mode is no reason to read a file again, but it is recorded.
	must(t, os.Chmod(c.path("a"), 0o600))
	must(t, os.Chmod(c.path("d/c"), 0o755))
	fourth := c.again(t)
	equal(t, "root", fourth.RootCID, third.RootCID)

	for entry, err := range c.repo.Entries(context.Background(), fourth.ID, sqlrepo.EntryFilter{}) {
		must(t, err)
		if entry.Path == "a" {
			equal(t, "mode", entry.Mode, 0o600)
		}
	}

	c.again(t)
}

// TestTimesThatAProtocolCutsAreTheSame compares times in either direction.
func TestTimesThatAProtocolCutsAreTheSame(t *testing.T) {
	t.Parallel()
	c := newChanging(t, source.Traits{NoInode: true, NoCtime: true})
	for _, cut := range []time.Duration{100, time.Microsecond, time.Second} {
		at := time.Unix(1_600_000_000, 123_456_789)
		must(t, os.Chtimes(c.path("a"), time.Time{}, at))
		c.again(t, "a")
		must(t, os.Chtimes(c.path("a"), time.Time{}, at.Truncate(cut)))
		c.again(t)
		must(t, os.Chtimes(c.path("a"), time.Time{}, at.Truncate(cut).Add(cut/2)))
		c.again(t)
		must(t, os.Chtimes(c.path("a"), time.Time{}, at.Add(-time.Hour)))
		c.again(t, "a")
	}

	c.job.Fresh.MtimeWindow = int64(2 * time.Second)
	must(t, os.Chtimes(c.path("a"), time.Time{}, time.Unix(1_600_000_000, 0).Add(-time.Hour-time.Second)))
	c.again(t)
}

// TestWhatIsMadeUpCanBeIgnored sets flags that stay with the upload.
func TestWhatIsMadeUpCanBeIgnored(t *testing.T) {
	t.Parallel()
	c := newChanging(t, source.Traits{})
	c.job.Fresh.IgnoreCtime, c.job.Fresh.IgnoreInode = true, true
	rewrite(t, c.path("a"), "FIRST")
	must(t, os.Rename(c.path("b"), c.path("n")))
	rewriteAs(t, c.path("n"), c.path("b"), "OTHER")
	must(t, os.Remove(c.path("n")))
	upload := c.again(t)
	equal(t, "root", upload.RootCID, c.first)
	equal(t, "kept", upload.IgnoreCtime && upload.IgnoreInode, true)
}

// rewriteAs makes a file with the length and time of another.
func rewriteAs(t *testing.T, like, path, content string) {
	t.Helper()
	info, err := os.Stat(like)
	must(t, err)
	must(t, os.WriteFile(path, []byte(content), info.Mode()))
	must(t, os.Chtimes(path, time.Time{}, info.ModTime()))
}

// TestAllIsReadAgain checks that reading all content again gives the same root and no new shards.
func TestAllIsReadAgain(t *testing.T) {
	t.Parallel()
	c := newChanging(t, source.Traits{})
	before := c.stored()
	c.job.Fresh.Reread = true
	upload := c.again(t, "a", "b", "d/c")
	equal(t, "root", upload.RootCID, c.first)
	sameNames(t, "shards", c.stored(), before)
	c.job.Fresh.Reread = false
	c.again(t)
}

// TestACoarseClockProvesNothing writes a file a moment before its scan: the file is read once more.
func TestACoarseClockProvesNothing(t *testing.T) {
	t.Parallel()
	for name, traits := range map[string]source.Traits{
		"FAT": {NoInode: true, NoCtime: true, Tick: time.Hour}, // really 2 s, but machines are busy
		"SMB": {NoInode: true, NoCtime: true, Tick: time.Second, Remote: true},
	} {
		root := tree(t, map[string]string{"a": "first", "b": "other", "d/c": "third"})
		now := time.Now().Truncate(2 * time.Second)
		longAgo := now.Add(-24 * time.Hour)

		for _, old := range []string{"b", "d/c"} {
			must(t, os.Chtimes(filepath.Join(root, old), time.Time{}, longAgo))
		}
		must(t, os.Chtimes(filepath.Join(root, "a"), time.Time{}, now))
		c := newChangingAt(t, root, traits)

		must(t, os.WriteFile(c.path("a"), []byte("FIRST"), 0o644))
		must(t, os.Chtimes(c.path("a"), time.Time{}, now))
		if c.again(t, "a").RootCID == c.first {
			t.Errorf("%s: what was written within a tick is not seen", name)
		}
	}
}

// TestAnEmptyFileThatIsNone checks that such a file is read to its end, whatever length the file system reports.
func TestAnEmptyFileThatIsNone(t *testing.T) {
	t.Parallel()
	for _, traits := range []source.Traits{{}, {NoZero: true}, {NoSize: true}} {
		root := tree(t, map[string]string{"a": "first", "b": strings.Repeat("x", 3<<20), "e": ""})
		f := newFixture(t, enginetest.Engines()[0].Open(t), described{sizeless{source.Local()}, traits}, root)
		upload := f.complete()
		g := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root)
		equal(t, fmt.Sprintf("root with %+v", traits), upload.RootCID, g.complete().RootCID)
	}
}

// sizeless reports all files as empty.
type sizeless struct{ source.FS }

type emptyInfo struct{ fs.FileInfo }

func (i emptyInfo) Size() int64 { return 0 }

func (s sizeless) Lstat(path string) (fs.FileInfo, error) {
	info, err := s.FS.Lstat(path)
	return emptyInfo{info}, err
}

func (s sizeless) Open(path string) (source.File, error) {
	file, err := s.FS.Open(path)
	return sizelessFile{file}, err
}

type sizelessFile struct{ source.File }

func (f sizelessFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return emptyInfo{info}, err
}

// TestALongPathIsListed checks that everything else is prepared.
func TestALongPathIsListed(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"a": "first"})
	within, err := os.OpenRoot(root)
	must(t, err)

	// Each directory is made below the last one, since the whole path would be too long for a call.
	for depth := range 12 {
		name := strings.Repeat("d", 230)
		must(t, within.Mkdir(name, 0o755))
		below, err := within.OpenRoot(name)
		must(t, err)
		must(t, within.Close())
		within = below
		must(t, within.WriteFile("f", []byte(fmt.Sprint(depth)), 0o644))
	}

	must(t, within.Close())
	for _, engine := range enginetest.Engines() {
		f := newFixture(t, engine.Open(t), source.Local(), root)
		result, err := f.run()
		must(t, err)
		equal(t, "state", result.Upload.State, sqlrepo.Incomplete)
		left := f.leftOut()

		for path, reason := range left {
			if !strings.Contains(reason, "1 of its entries") || len(path) < 2500 {
				t.Errorf("left out: %s: %s", path, reason)
			}
		}

		equal(t, "left out", len(left), 1)

		f.job.SkipFailed = true
		equal(t, "files", f.complete().Files, 12)
	}
}
