package pipeline_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// faultyStore fails or calls back at a certain commit.
type faultyStore struct {
	store.Store
	writes, failAt atomic.Int64
	failure        error
	commits, syncs atomic.Int64
	onCommit       func(n int64)
	// onSync is called when a shard is packed but not sealed yet.
	onSync func(n int64)
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

func (b *faultyBlob) Commit(ctx context.Context, name string) error {
	err := b.Blob.Commit(ctx, name)
	if b.store.onCommit != nil {
		b.store.onCommit(b.store.commits.Add(1))
	}
	return err
}

func (b *faultyBlob) Sync(ctx context.Context) error {
	err := b.Blob.Sync(ctx)
	if b.store.onSync != nil {
		b.store.onSync(b.store.syncs.Add(1))
	}
	return err
}

func withFaultyStore(faulty *faultyStore) change {
	return func(j *pipeline.Job) {
		faulty.Store = j.Store
		j.Store = faulty
	}
}

// TestAFullDiskLosesNothing fills the disk in some places of a run.
func TestAFullDiskLosesNothing(t *testing.T) { fillDisk(t, 15) }

// fillDisk fills the disk at every step-th write of a run.
func fillDisk(t *testing.T, step int64) {
	t.Helper()
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(small), sourcetest.Root)
	root := undisturbed.complete().RootCID.String()

	failures := 0
	for failAt := int64(1); ; failAt += step {
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

		// A run that fails leaves no temporary files.
		for _, name := range f.stored() {
			if !strings.HasSuffix(name, ".car") {
				t.Errorf("write %d: %s is left over", failAt, name)
			}
		}

		faulty.failAt.Store(0)
		equal(t, "root", f.complete().RootCID.String(), root)
		sameNames(t, "shards", f.stored(), undisturbed.stored())
	}

	if failures < 2 {
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

// TestTemporaryFilesOfACrashAreRemoved checks that the next run in the same space removes them, and leaves other
// files alone.
func TestTemporaryFilesOfACrashAreRemoved(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(small), sourcetest.Root)
	left := map[string]bool{"z6MkTest-1-123": false, "z6MkTest-11-123": false, "z6MkTestOther-1-123": true}
	for owner := range left {
		blob, err := f.job.Store.Create(context.Background(), owner)
		must(t, err)
		_, err = blob.Write([]byte("left"))
		must(t, err)
	}

	f.complete()
	for owner, stays := range left {
		found, err := f.job.Store.Unfinished(context.Background(), owner)
		must(t, err)
		equal(t, owner, len(found) == 1, stays)
	}
}
