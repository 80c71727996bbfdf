//go:build unix

package retrieve_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sys/unix"

	"github.com/guppy-prep/guppy/internal/reading/retrieve"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// whole makes a tree of several large and small files.
func whole(s *treetest.Store) (tree.Link, map[string]string) {
	parts := []string{strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<20), strings.Repeat("c", 1<<20)}
	return s.Directory("", s.Directory("d", s.Raw("f", "in d")), s.File("large", parts...), s.Raw("small", "x")),
		map[string]string{"d/": "", "d/f": "in d", "large": strings.Join(parts, ""), "small": "x"}
}

// TestTwoRunsAtOnce lets two runs write the same files. In the end every file with its own name must be whole.
func TestTwoRunsAtOnce(t *testing.T) {
	s := treetest.New()
	root, want := whole(s)
	for range 20 {
		out := filepath.Join(t.TempDir(), "out")
		var both sync.WaitGroup
		var errs [2]error

		for i := range errs {
			both.Go(func() { _, errs[i] = to(t, s, root, out) })
		}
		both.Wait()

		for _, err := range errs {
			if err != nil && !errors.Is(err, retrieve.ErrBusy) {
				t.Error(err)
			}
		}

		if errs[0] != nil && errs[1] != nil {
			must(to(t, s, root, out))(t)
		}
		same(t, "in the end", files(t, out), want)
	}
}

// TestAFileThatAnotherRunWritesIsLeftAlone requires that a file which another run is writing gets its name from
// that run.
func TestAFileThatAnotherRunWritesIsLeftAlone(t *testing.T) {
	s := treetest.New()
	root, want := whole(s)
	out := filepath.Join(t.TempDir(), "out")
	left := &atomic.Int64{}
	left.Store(4) // a chunk of the large file
	var second error
	must(to(t, swapping{s, left, func() { _, second = to(t, s, root, out) }}, root, out))(t)
	if !errors.Is(second, retrieve.ErrBusy) {
		t.Errorf("the second run: %v", second)
	}
	same(t, "in the end", files(t, out), want)
}

// TestALockedPartOfASmallFile requires that a locked part counts as another run's, and an unlocked one as a dead
// run's.
func TestALockedPartOfASmallFile(t *testing.T) {
	s := treetest.New()
	small := s.Raw("small", "content")
	root := s.Directory("", small)
	out := t.TempDir()
	sum := sha256.Sum256(append(small.CID.Bytes(), "small"...))
	part := fmt.Sprintf(".guppy-part-%x", sum[:12])

	other := must(os.Create(filepath.Join(out, part)))(t)
	_, err := other.WriteString("cont")
	ok(t, errors.Join(err, other.Chmod(0o400), unix.Flock(int(other.Fd()), unix.LOCK_EX)))

	if _, err := to(t, s, root, out); !errors.Is(err, retrieve.ErrBusy) {
		t.Errorf("%v", err)
	}
	same(t, "locked", files(t, out), map[string]string{part: "cont"})

	ok(t, other.Close())
	must(to(t, s, root, out))(t)
	same(t, "unlocked", files(t, out), map[string]string{"small": "content"})
}

// TestAPartThatWasTakenAway requires that a file does not get its name if something else has the name of the
// unfinished file.
func TestAPartThatWasTakenAway(t *testing.T) {
	s := treetest.New()
	root, _ := whole(s)
	out := filepath.Join(t.TempDir(), "out")

	left := &atomic.Int64{}
	left.Store(4)

	replace := func() {
		for _, part := range must(filepath.Glob(filepath.Join(out, ".guppy-part-*")))(t) {
			// A file that is whole meanwhile has got its name.
			if err := os.Remove(part); !errors.Is(err, fs.ErrNotExist) {
				ok(t, errors.Join(err, os.WriteFile(part, []byte("partial"), 0o600)))
			}
		}
	}

	if _, err := to(t, swapping{s, left, replace}, root, out); !errors.Is(err, retrieve.ErrBusy) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(filepath.Join(out, "large")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another's file got its name: %v", err)
	}
}

var before = time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)

// knowing returns an option with known modes of entries, given as "path", mode, and times of long ago.
func knowing(modes map[string]int32) func(*retrieve.Retriever) {
	return func(r *retrieve.Retriever) {
		var all []sqlrepo.Listed
		for name, mode := range modes {
			kind := sqlrepo.File
			if name == "" || strings.HasSuffix(name, "/") {
				kind = sqlrepo.Directory
			}

			path := sqlrepo.Path(strings.ReplaceAll(strings.TrimSuffix(name, "/"), "/", "\x00"))
			all = append(all, sqlrepo.Listed{Path: path, Fingerprint: sqlrepo.Fingerprint{
				Kind: kind, Mode: mode, ModTime: before.UnixNano(),
			}})
		}

		slices.SortFunc(all, func(a, b sqlrepo.Listed) int { return strings.Compare(string(a.Path), string(b.Path)) })

		r.Known = iter.Seq2[sqlrepo.Listed, error](func(yield func(sqlrepo.Listed, error) bool) {
			for _, entry := range all {
				if !yield(entry, nil) {
					return
				}
			}
		})
	}
}

func hasMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info := must(os.Lstat(path))(t)
	if mode := info.Mode() &^ fs.ModeDir; mode != want {
		t.Errorf("%s has the mode %s, want %s", filepath.Base(path), mode, want)
	}
}

// TestModesThatRunAsAnother requires that setuid and setgid bits are not restored.
func TestModesThatRunAsAnother(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.Directory("d"), s.Raw("f", "x"), s.File("g", "a", "b"))
	out := filepath.Join(t.TempDir(), "out")
	modes := map[string]int32{"": 0o2755, "d/": 0o3777, "f": 0o4755, "g": 0o7711}
	for range 2 {
		must(to(t, s, root, out, knowing(modes)))(t)
		hasMode(t, out, 0o755)
		hasMode(t, out+"/d", 0o777|fs.ModeSticky)
		hasMode(t, out+"/f", 0o755)
		hasMode(t, out+"/g", 0o711)
		ok(t, os.Chmod(out+"/f", 0o755|fs.ModeSetuid))
	}
}

// TestADirectoryThatWasThereStaysAsItIs requires that an existing directory only gets new entries.
func TestADirectoryThatWasThereStaysAsItIs(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.Raw("f", "x"))
	out := t.TempDir()
	ok(t, os.Chmod(out, 0o777|fs.ModeSticky))
	must(to(t, s, root, out, knowing(map[string]int32{"": 0o700, "f": 0o600})))(t)
	hasMode(t, out, 0o777|fs.ModeSticky)
	if info := must(os.Stat(out))(t); info.ModTime().Equal(before) {
		t.Error("it has another time now")
	}

	fresh := filepath.Join(out, "fresh")
	must(to(t, s, root, fresh, knowing(map[string]int32{"": 0o700, "f": 0o600})))(t)
	hasMode(t, fresh, 0o700)
	if info := must(os.Stat(fresh))(t); !info.ModTime().Equal(before) {
		t.Errorf("it has the time %s", info.ModTime())
	}
	same(t, "fresh", files(t, fresh), map[string]string{"f": "x"})
}

// TestAReadOnlyTreeIsGoneOnWith goes on after runs that could not write all of a read-only tree.
func TestAReadOnlyTreeIsGoneOnWith(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.Directory("d", s.File("g", "aaaa", "bbbb")), s.Raw("f", "x"))
	known := knowing(map[string]int32{"": 0o555, "d/": 0o555, "d/g": 0o444, "f": 0o000})

	lost := s.Raw("", "bbbb")
	out := filepath.Join(t.TempDir(), "out")
	t.Cleanup(func() { ok(t, errors.Join(os.Chmod(out, 0o755), os.Chmod(out+"/d", 0o755))) })
	s.Remove(lost.CID)

	for range 2 {
		if sum := must(to(t, s, root, out, known))(t); sum.Failed != 1 {
			t.Errorf("%+v", sum)
		}
		if info := must(os.Stat(out))(t); info.Mode()&0o700 != 0o700 {
			t.Errorf("nothing can be written where something is missing: %s", info.Mode())
		}

		part := must(filepath.Glob(out + "/d/.guppy-part-*"))(t)[0]
		hasMode(t, part, must(os.Stat(part))(t).Mode()|0o600)
		ok(t, os.Chmod(part, 0o444)) // as if the run was killed before the file had its name
	}

	s.Raw("", "bbbb")
	sum := must(to(t, s, root, out, known))(t)
	if sum.Kept != 5 {
		t.Errorf("%+v", sum)
	}

	hasMode(t, out, 0o555)
	hasMode(t, out+"/d", 0o555)
	hasMode(t, out+"/d/g", 0o444)
	hasMode(t, out+"/f", 0)
	ok(t, os.Chmod(out+"/f", 0o400))
	same(t, "in the end", files(t, out), map[string]string{"d/": "", "d/g": "aaaabbbb", "f": "x"})
}

// watching records the number of open files before blocks are read.
type watching struct {
	*treetest.Store
	mu   *sync.Mutex
	most *int
}

func (w watching) Fetch(ctx context.Context, cids []cid.Cid, use func(int, []byte) error) error {
	w.mu.Lock()
	*w.most = max(*w.most, openFiles())
	w.mu.Unlock()
	return w.Store.Fetch(ctx, cids, use)
}

// TestFewFilesAreOpen writes a tree of many small directories.
func TestFewFilesAreOpen(t *testing.T) {
	s := treetest.New()
	var all []tree.Link
	want := map[string]string{}
	for i := range 300 {
		name := fmt.Sprintf("%03d", i)
		all = append(all, s.Directory(name, s.Directory("inner", s.Raw("f", name)), s.File("g", name, "-")))
		want[name+"/"], want[name+"/inner/"], want[name+"/inner/f"], want[name+"/g"] = "", "", name, name+"-"
	}

	out := filepath.Join(t.TempDir(), "out")
	base, most := openFiles(), 0
	must(to(t, watching{s, &sync.Mutex{}, &most}, s.Directory("", all...), out))(t)
	same(t, "tree", files(t, out), want)
	if used := most - base; used > 200 {
		t.Errorf("%d files were open", used)
	}
}

// stopping fails to read one block, once several other readers wait for theirs.
type stopping struct {
	*treetest.Store
	bad   cid.Cid
	cause error
	begun *atomic.Int64
	many  chan struct{}
}

func (s stopping) Fetch(ctx context.Context, cids []cid.Cid, use func(int, []byte) error) error {
	if cids[0].Type() != cid.Raw {
		return s.Store.Fetch(ctx, cids, use)
	}
	if s.begun.Add(1) == 3 {
		close(s.many)
	}
	if cids[0] == s.bad {
		<-s.many
		return s.cause
	}
	<-ctx.Done()
	return fmt.Errorf("find blocks: %w", ctx.Err())
}

// TestTheCauseIsTold requires the first error, not its consequences.
func TestTheCauseIsTold(t *testing.T) {
	s := treetest.New()
	var parts []string
	for i := range 40 {
		parts = append(parts, strings.Repeat(string(rune('a'+i%26)), 1<<20)+fmt.Sprint(i))
	}
	root := s.Directory("", s.File("a", parts...), s.File("b", parts[20:]...), s.Raw("c", "x"))
	cause := errors.New("the disk is on fire")
	from := stopping{s, s.Raw("", parts[1]).CID, cause, &atomic.Int64{}, make(chan struct{})}
	_, err := to(t, from, root, filepath.Join(t.TempDir(), "out"))
	if !errors.Is(err, cause) || errors.Is(err, context.Canceled) || strings.Count(err.Error(), "\n") > 0 {
		t.Errorf("%v", err)
	}
}
