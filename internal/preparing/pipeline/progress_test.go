package pipeline_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestTheProgressOfAWorkerBeginsWhenItJoins lets a roving worker go on with an upload that is packed in part, and then
// with a new one. What was packed before is not the work of these workers, so it must not look like speed.
func TestTheProgressOfAWorkerBeginsWhenItJoins(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		ctx := context.Background()
		faulty := &faultyStore{failure: syscall.ENOSPC}
		f := newFixture(t, db, sourcetest.NewSynthetic(small), sourcetest.Root, withFaultyStore(faulty),
			func(j *pipeline.Job) { j.Workers = 1 })
		faulty.onCommit = func(n int64) {
			if n == 2 {
				faulty.failAt.Store(1)
			}
		}
		if _, err := f.run(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v", err)
		}
		faulty.failAt.Store(0)

		half, err := f.repo.Upload(ctx, 1)
		must(t, err)
		left := half.PlannedBytes - half.PackedBytes
		if half.PackedBytes == 0 || left == 0 {
			t.Fatalf("%d of %d bytes are packed", half.PackedBytes, half.PlannedBytes)
		}

		other := f.job.Source
		other.Name, other.Path = "other", []byte("/elsewhere")
		other, err = f.repo.AddSource(ctx, other)
		must(t, err)
		fresh := f.job.Fresh
		fresh.Store = half.Store
		opened, err := f.repo.OpenUpload(ctx, other.ID, fresh)
		must(t, err)

		faulty.onCommit = func(int64) {
			if s := f.job.Progress.State(); s.Bytes > s.BytesTotal || s.Bytes < 0 || s.Items < 0 {
				t.Errorf("%d of %d bytes, %d of %d files are packed", s.Bytes, s.BytesTotal, s.Items, s.ItemsTotal)
			}
		}
		must(t, f.rove(ctx, func(sqlrepo.OpenUpload) error { return nil }))

		second, err := f.repo.Upload(ctx, opened.Upload.ID)
		must(t, err)
		equal(t, "state", second.State, sqlrepo.Complete)
		s := f.job.Progress.State()
		equal(t, "bytes in all", s.BytesTotal, left+second.PlannedBytes)
		equal(t, "bytes", s.Bytes, s.BytesTotal)
		equal(t, "files in all", s.ItemsTotal, half.PlannedFiles-half.PackedFiles+second.PlannedFiles)
		equal(t, "files", s.Items, s.ItemsTotal)
	})
}
