package gc_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// unseen returns a collector that does not find the store of an upload.
func (f *fixture) unseen(lost int64) *gc.Collector {
	collector := f.collector()
	collector.Locate = func(_ context.Context, upload sqlrepo.Upload) (store.Store, error) {
		if upload.ID == lost {
			return nil, fmt.Errorf("its store: %w", store.ErrAbsent)
		}
		return f.store, nil
	}
	return collector
}

func TestARemovalWithoutFilesNeedsNoStore(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f, ctx := newFixture(t, db, 1), t.Context()
		f.write(0, "a", 10)
		f.prepare(0)
		f.jobs[0].Fresh.Always = true
		unchanged := f.prepare(0)
		must(t, removal.New(f.repo).RemoveUpload(ctx, unchanged.ID))
		sum, err := f.unseen(unchanged.ID).Collect(ctx, f.space.ID)
		if err != nil || sum.Uploads != 1 {
			t.Errorf("%+v, %v", sum, err)
		}
		f.sound()
	})
}

// TestAStoreThatIsLost: the uploads in other stores are removed all the same, and the lost store can be given up.
func TestAStoreThatIsLost(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f, ctx := newFixture(t, db, 2), t.Context()
		other, err := store.OpenDirectory(filepath.Join(t.TempDir(), "lost"))
		must(t, err)
		f.jobs[0].Store = other
		for job := range f.jobs {
			f.write(job, "own", 1<<20)
			f.write(job, "shared", 0, []byte("what both have")...)
		}

		lost, seen := f.prepare(0), f.prepare(1)
		for _, upload := range []sqlrepo.Upload{lost, seen} {
			must(t, removal.New(f.repo).RemoveUpload(ctx, upload.ID))
		}

		collector := f.unseen(lost.ID)
		sum, err := collector.Collect(ctx, f.space.ID)
		if !errors.Is(err, store.ErrAbsent) || sum.Uploads != 1 || len(f.stored()) > 0 {
			t.Errorf("%+v, %v; left: %q", sum, err, f.stored())
		}
		if _, err := f.repo.Upload(ctx, seen.ID); !errors.Is(err, sqlrepo.ErrNotFound) {
			t.Errorf("the upload whose store is there: %v", err)
		}

		collector.KeepFiles = map[int64]bool{lost.ID: true}
		sum, err = collector.Collect(ctx, f.space.ID)
		if err != nil || sum.Uploads != 1 || sum.Files != 0 {
			t.Errorf("%+v, %v", sum, err)
		}

		f.empty()
		f.store = other
		if stored := f.stored(); len(stored) != 3 {
			t.Errorf("the lost store had two shards and an index, and has %q", stored)
		}
	})
}

// TestCopiesInAnotherStoreAreNotNeeded has the same content in two stores. Each copy is removed with its uploads.
func TestCopiesInAnotherStoreAreNotNeeded(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f, ctx := newFixture(t, db, 1), t.Context()
		other, err := store.OpenDirectory(filepath.Join(t.TempDir(), "lost"))
		must(t, err)
		f.write(0, "a", 10)
		f.prepare(0)
		f.jobs[0].Store = other
		again := f.prepare(0)
		must(t, removal.New(f.repo).RemoveUpload(ctx, again.ID))

		collector := f.unseen(again.ID)
		collector.KeepFiles = map[int64]bool{again.ID: true}
		sum, err := collector.Collect(ctx, f.space.ID)
		if err != nil || sum.Uploads != 1 || sum.KeptShards != 0 {
			t.Errorf("%+v, %v", sum, err)
		}
		f.sound()
	})
}
