package pipeline_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/enginetest"
	"github.com/guppy-prep/guppy/internal/pgtest"
	"github.com/guppy-prep/guppy/internal/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// small has the sizes that the fault tests name: files 0 to 7 of some bytes, file 8 of nine chunks over three shards.
var small = sourcetest.Tree{Dirs: 2, Files: 9, Seed: 3, SizeOf: func(_, file int) int64 {
	if file == 8 {
		return 9<<20 + 5
	}
	return int64(file * 1000)
}}

// TestAChangedFileIsScannedAgain changes files while they are packed, once: the upload has what they became.
func TestAChangedFileIsScannedAgain(t *testing.T) {
	changes := map[string]func(*sourcetest.Synthetic){
		"a small file":           func(s *sourcetest.Synthetic) { s.Change(s.FilePath(0, 3), 1) },
		"a large file, first":    func(s *sourcetest.Synthetic) { s.Change(s.FilePath(0, 8), 1) },
		"a large file, midway":   func(s *sourcetest.Synthetic) { s.Change(s.FilePath(0, 8), 6) },
		"a large file, last":     func(s *sourcetest.Synthetic) { s.Change(s.FilePath(1, 8), 10) },
		"a file that shrinks":    func(s *sourcetest.Synthetic) { s.Truncate(s.FilePath(1, 8), 5, 2<<20) },
		"a file that grows":      func(s *sourcetest.Synthetic) { s.Truncate(s.FilePath(1, 7), 1, 5<<20) },
		"a file that gets empty": func(s *sourcetest.Synthetic) { s.Truncate(s.FilePath(0, 1), 1, 0) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
				tree := sourcetest.NewSynthetic(small)
				change(tree)
				f := newFixture(t, db, tree, sourcetest.Root)
				upload := f.complete()
				fresh := newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root).complete()
				equal(t, "root", upload.RootCID.String(), fresh.RootCID.String())
				equal(t, "bytes", upload.Bytes, fresh.Bytes)
			})
		})
	}
}

// TestAFileThatKeepsChangingIsListed and everything else is packed, in one run.
func TestAFileThatKeepsChangingIsListed(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		tree := sourcetest.NewSynthetic(small)
		restless, gone, broken := tree.FilePath(0, 3), tree.FilePath(0, 5), tree.FilePath(1, 8)
		for k := range 100 {
			tree.Change(restless, k+1)
		}
		removed := &removing{Synthetic: tree, path: gone}
		tree.FailRead(broken, 4, syscall.EIO)
		f := newFixture(t, db, removed, sourcetest.Root)

		result, err := f.run()
		must(t, err)
		equal(t, "state", result.Upload.State, sqlrepo.Packing)
		equal(t, "failed", result.Failed, 3)
		want := map[string]string{
			"d00000000/f00000003": "3: changed since it was scanned: it was modified",
			"d00000000/f00000005": "3: vanished",
			"d00000001/f00000008": "3: input/output error",
		}
		if got := f.leftOut(); !maps.Equal(got, want) {
			t.Errorf("left out: %v", got)
		}
		f.job.SkipFailed = true
		for k := range 100 {
			tree.Change(restless, 100+k)
		}
		skipped, err := f.run()
		must(t, err)
		equal(t, "state", skipped.Upload.State, sqlrepo.Complete)
		equal(t, "upload", skipped.Upload.ID, result.Upload.ID)
		equal(t, "files", skipped.Upload.Files, 2*9-2)
		want = map[string]string{"d00000000/f00000003": want["d00000000/f00000003"]}
		if got := f.leftOut(); !maps.Equal(got, want) {
			t.Errorf("left out of the complete upload: %v", got)
		}
	})
}

// removing removes a file as soon as it is opened.
type removing struct {
	*sourcetest.Synthetic
	path string
}

func (r *removing) Open(path string) (file source.File, err error) {
	if path == r.path {
		r.Remove(path)
	}
	return r.Synthetic.Open(path)
}

// TestWhatCouldNotBeReadIsTriedAgain makes a directory and a file unreadable, then readable again.
func TestWhatCouldNotBeReadIsTriedAgain(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		tree := sourcetest.NewSynthetic(small)
		tree.Fail(tree.DirPath(0), "readdir", fs.ErrPermission)
		tree.Fail(tree.FilePath(1, 2), "open", fs.ErrPermission)
		f := newFixture(t, db, tree, sourcetest.Root)
		result, err := f.run()
		must(t, err)
		equal(t, "failed", result.Failed, 2)
		equal(t, "root", result.Upload.RootCID.String(), "")

		tree.Fail(tree.DirPath(0), "readdir", nil)
		tree.Fail(tree.FilePath(1, 2), "open", nil)
		upload := f.complete()
		equal(t, "upload", upload.ID, result.Upload.ID)
		fresh := newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root).complete()
		equal(t, "root", upload.RootCID.String(), fresh.RootCID.String())
	})
}

// TestASourceThatIsLostFailsTheRun instead of listing every file as vanished.
func TestASourceThatIsLostFailsTheRun(t *testing.T) {
	tree := sourcetest.NewSynthetic(small)
	lost := &losing{Synthetic: tree}
	f := newFixture(t, enginetest.Engines()[0].Open(t), lost, sourcetest.Root)
	if _, err := f.run(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	equal(t, "entries left out", len(f.leftOut()), 0)
}

// losing has its tree removed when the first file is opened.
type losing struct{ *sourcetest.Synthetic }

func (l *losing) Open(path string) (source.File, error) {
	l.Remove(sourcetest.Root)
	l.Remove(path)
	return l.Synthetic.Open(path)
}

// faultyStore fails or calls back at a certain commit.
type faultyStore struct {
	store.Store
	writes, failAt atomic.Int64
	failure        error
	commits        atomic.Int64
	onCommit       func(n int64)
}

type faultyBlob struct {
	store.Blob
	store *faultyStore
}

func (s *faultyStore) Create(ctx context.Context, owner string) (store.Blob, error) {
	blob, err := s.Store.Create(ctx, owner)
	return &faultyBlob{blob, s}, err
}

func (b *faultyBlob) Write(p []byte) (int, error) {
	if n := b.store.failAt.Load(); n > 0 && b.store.writes.Add(1) >= n {
		return 0, b.store.failure
	}
	return b.Blob.Write(p)
}

func (b *faultyBlob) Commit(ctx context.Context, name string) (string, error) {
	location, err := b.Blob.Commit(ctx, name)
	if b.store.onCommit != nil {
		b.store.onCommit(b.store.commits.Add(1))
	}
	return location, err
}

func withFaultyStore(faulty *faultyStore) change {
	return func(j *pipeline.Job) {
		faulty.Store = j.Store
		j.Store = faulty
	}
}

func TestAFullDiskLosesNothing(t *testing.T) {
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(small), sourcetest.Root)
	root := undisturbed.complete().RootCID.String()
	failures := 0
	for failAt := int64(1); ; failAt += 9 {
		faulty := &faultyStore{failure: syscall.ENOSPC}
		faulty.failAt.Store(failAt)
		f := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(small), sourcetest.Root,
			withFaultyStore(faulty))
		_, err := f.run()
		if err == nil {
			break
		}
		if failures++; !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("write %d: got %v", failAt, err)
		}
		for _, name := range f.stored() {
			if !strings.HasSuffix(name, ".car") {
				t.Errorf("write %d: %s is left over", failAt, name)
			}
		}
		faulty.failAt.Store(0)
		equal(t, "root", f.complete().RootCID.String(), root)
		sameNames(t, "shards", f.stored(), undisturbed.stored())
	}
	if failures < 4 {
		t.Errorf("the disk was full in only %d places", failures)
	}
}

func TestAStoreThatIsRemovedFailsTheRun(t *testing.T) {
	faulty := &faultyStore{}
	f := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(small), sourcetest.Root,
		withFaultyStore(faulty), func(j *pipeline.Job) { j.Workers = 1 })
	faulty.onCommit = func(n int64) {
		if n == 1 {
			must(t, os.RemoveAll(f.dir))
		}
	}
	if _, err := f.run(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), f.dir) {
		t.Errorf("got %v", err)
	}
}

// TestTemporaryFilesOfACrashAreRemoved by the next run of the same upload, and those of others are left alone.
func TestTemporaryFilesOfACrashAreRemoved(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(small), sourcetest.Root)
	mine, others := ".guppy-z6MkTest-1-123.tmp", ".guppy-z6MkTest-11-123.tmp"
	for _, name := range []string{mine, others} {
		must(t, os.WriteFile(filepath.Join(f.dir, name), []byte("left"), 0o600))
	}
	f.complete()
	names := strings.Join(f.stored(), " ")
	equal(t, "own file is there", strings.Contains(names, mine), false)
	equal(t, "another upload's file is there", strings.Contains(names, others), true)
}

// TestARunThatLostItsUploadChangesNothing begins another run behind its back.
func TestARunThatLostItsUploadChangesNothing(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		faulty := &faultyStore{}
		f := newFixture(t, db, sourcetest.NewSynthetic(small), sourcetest.Root, withFaultyStore(faulty))
		var before string
		faulty.onCommit = func(n int64) {
			if n == 1 {
				_, err := f.repo.BeginRun(context.Background(), f.job.Source.ID, f.job.Fresh)
				must(t, err)
				before = f.dump()
			}
		}
		if _, err := f.run(); !errors.Is(err, sqlrepo.ErrLeaseLost) {
			t.Fatalf("got %v", err)
		}
		equal(t, "dump", f.dump(), before)
		faulty.onCommit = nil
		f.complete()
	})
}

func TestOneRunAtATime(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		faulty := &faultyStore{}
		f := newFixture(t, db, sourcetest.NewSynthetic(small), sourcetest.Root, withFaultyStore(faulty))
		var second error
		faulty.onCommit = func(n int64) {
			if n == 1 {
				other := f.job
				_, second = other.Run(context.Background())
			}
		}
		f.complete()
		if !errors.Is(second, sqlrepo.ErrLocked) {
			t.Errorf("a second run at the same time: %v", second)
		}
	})
}

// TestTheServerGoesAwayAndComesBack stops PostgreSQL in the middle of packing, twice.
func TestTheServerGoesAwayAndComesBack(t *testing.T) {
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(mixed), sourcetest.Root)
	root := undisturbed.complete().RootCID.String()
	server := pgtest.Start(t)
	db := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(server.URL())})
	faulty := &faultyStore{}
	f := newFixture(t, db, sourcetest.NewSynthetic(mixed), sourcetest.Root, withFaultyStore(faulty))
	var starting sync.WaitGroup
	defer starting.Wait()
	faulty.onCommit = func(n int64) {
		if n == 2 || n == 6 {
			server.Stop(pgtest.Immediate)
			starting.Go(func() {
				time.Sleep(500 * time.Millisecond)
				server.Start()
			})
		}
	}
	equal(t, "root", f.complete().RootCID.String(), root)
	sameNames(t, "shards", f.stored(), undisturbed.stored())
	equal(t, "dump", f.dump(), undisturbed.dump())
}
