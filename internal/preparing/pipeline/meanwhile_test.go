package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// TestARemovedUploadIsSaidToBeRemoved removes an upload during its run, either by marking it or by deleting its
// row.
func TestARemovedUploadIsSaidToBeRemoved(t *testing.T) {
	for name, remove := range map[string]func(*fixture, int64) error{
		"marked": func(f *fixture, upload int64) error {
			return removal.New(f.later()).RemoveUpload(context.Background(), upload)
		},
		"gone": func(f *fixture, _ int64) error {
			_, err := f.db.Writer.ExecContext(context.Background(), "DELETE FROM uploads")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
				faulty := &faultyStore{}
				f := newFixture(t, db, sourcetest.NewSynthetic(small), sourcetest.Root, withFaultyStore(faulty))

				// The upload is removed when its first shard is packed.
				faulty.onSync = func(n int64) {
					if n == 1 {
						if _, err := db.Writer.ExecContext(context.Background(), "DELETE FROM shards"); err != nil {
							t.Error(err)
						}
						if err := remove(f, 1); err != nil {
							t.Error(err)
						}
					}
				}

				_, err := f.run()
				if !errors.Is(err, pipeline.ErrRemoved) || !strings.Contains(err.Error(), "upload 1") {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// TestOneDeathSetsNothingAside kills a worker that holds a shard, where work is tried only once.
func TestOneDeathSetsNothingAside(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		ctx := context.Background()
		faulty := &faultyStore{failure: syscall.ENOSPC}
		f := newFixture(t, db, sourcetest.NewSynthetic(small), sourcetest.Root, withFaultyStore(faulty))
		f.job.Limits.MaxAttempts = 1
		faulty.failAt.Store(1)
		if _, err := f.run(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v", err)
		}

		faulty.failAt.Store(0)
		long := sqlrepo.New(db, sqlrepo.WithClock(func() time.Time { return time.Now().Add(-time.Hour) }))
		dead, err := long.ClaimShard(ctx, sqlrepo.Claim{Worker: "elsewhere/1", Term: time.Minute}, 1, 1000)
		must(t, err)

		must(t, f.rove(ctx, func(sqlrepo.OpenUpload) error { return nil }))
		upload, err := f.repo.Upload(ctx, dead.Upload)
		must(t, err)
		equal(t, "state", upload.State, sqlrepo.Complete)
	})
}

// TestOneFailureDoesNotStopAWorker checks that a worker sets failed work aside and does everything else, where work
// is tried only once.
func TestOneFailureDoesNotStopAWorker(t *testing.T) {
	files := duplicates(t)
	files["b/poison"] = strings.Repeat("p", 100) + "poison" + strings.Repeat("q", 3<<20)
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		poisoned := &picky{refused: []byte("poison")}
		f := newFixture(t, db, source.Local(), tree(t, files), func(j *pipeline.Job) {
			poisoned.Store = j.Store
			j.Store, j.Limits.MaxAttempts = poisoned, 1
		})

		result, err := f.run()
		if !errors.Is(err, pipeline.ErrSetAside) {
			t.Fatalf("got %v", err)
		}

		equal(t, "settled", result.Upload.SettledShards, result.Upload.PlannedShards-1)
	})
}
