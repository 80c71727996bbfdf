package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// slowList lists the unfinished blobs of a complete upload for longer than its worker had a lease.
type slowList struct {
	store.Store
	repo  *sqlrepo.Repository
	lease time.Duration
	// listed counts the lists of a complete upload. interrupted is why one of them ended early.
	listed      int
	interrupted error
}

func (s *slowList) Unfinished(ctx context.Context, prefix string) ([]store.Unfinished, error) {
	uploads, err := s.repo.Uploads(ctx, sqlrepo.UploadFilter{})
	if err == nil && len(uploads) == 1 && uploads[0].State == sqlrepo.Complete {
		s.listed++
		select {
		case <-ctx.Done():
			s.interrupted = context.Cause(ctx)
		case <-time.After(2 * s.lease):
		}
	}
	return s.Store.Unfinished(ctx, prefix)
}

// TestCompletingDoesNotInterruptTidying: a worker whose upload is complete has no lease to renew any longer. It still
// removes what interrupted workers have left.
func TestCompletingDoesNotInterruptTidying(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		slow := &slowList{repo: sqlrepo.New(db), lease: time.Second}
		f := newFixture(t, db, sourcetest.NewSynthetic(small), sourcetest.Root, func(j *pipeline.Job) {
			slow.Store = j.Store
			j.Store, j.Limits.Lease = slow, slow.lease
		})

		f.complete()
		if slow.listed == 0 || slow.interrupted != nil {
			t.Errorf("listed %d times, interrupted: %v", slow.listed, slow.interrupted)
		}
	})
}
