package pipeline_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// watchedStore calls back before it creates or confirms a blob.
type watchedStore struct {
	store.Store
	onCreate, onConfirm func(ctx context.Context, name string) error
}

func (s *watchedStore) Create(ctx context.Context, owner string) (store.Blob, error) {
	if s.onCreate != nil {
		if err := s.onCreate(ctx, owner); err != nil {
			return nil, err
		}
	}
	return s.Store.Create(ctx, owner)
}

func (s *watchedStore) Confirm(ctx context.Context, name string) error {
	if s.onConfirm != nil {
		if err := s.onConfirm(ctx, name); err != nil {
			return err
		}
	}
	return s.Store.Confirm(ctx, name)
}

// TestACopyIsConfirmedWithoutItsLease: the record of a copy ends the lease on its file, so no heartbeat keeps a slow
// replica from answering whether the file is still there. Here a removal has just taken it.
func TestACopyIsConfirmedWithoutItsLease(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		r := newReplicated(t, db, func(j *pipeline.Job) { j.Limits.Lease = stall })
		replica := r.replica

		// Three heartbeats are due while the answer takes its time.
		var once sync.Once
		r.replica = &watchedStore{Store: replica, onConfirm: func(ctx context.Context, name string) (err error) {
			once.Do(func() {
				err = os.Remove(filepath.Join(r.dir, name))
				select {
				case <-ctx.Done():
					err = ctx.Err()
				case <-time.After(stall):
				}
			})
			return err
		}}
		r.ran()
		r.same()
	})
}

// TestAnErrorOfTheDatabaseEndsTheSending: a file on its way to a replica that does not answer does not keep the run
// until its work counts as stalled. The list of replicas is read again when all is packed, and files are claimed as
// long as this worker has hands.
func TestAnErrorOfTheDatabaseEndsTheSending(t *testing.T) {
	t.Parallel()
	for table, workers := range map[string]int{"space_replicas": 1, "sendings": 2} {
		t.Run(table, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
				r := newReplicated(t, db, func(j *pipeline.Job) { j.Workers = workers })
				r.endsWithout(table)
			})
		})
	}
}

// endsWithout fails the test unless the run ends although a table is gone while a file is sent and never arrives.
func (r *replicated) endsWithout(table string) {
	r.tb.Helper()
	var once sync.Once
	released := make(chan struct{})
	r.replica = &watchedStore{Store: r.replica, onCreate: func(ctx context.Context, _ string) (err error) {
		first := false
		once.Do(func() {
			first = true
			_, err = r.db.Writer.ExecContext(ctx, "ALTER TABLE "+table+" RENAME TO missing")
		})
		if err != nil || !first { // another file must not keep the last hand
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-released:
			return store.ErrAbsent
		}
	}}

	ended := make(chan error, 1)
	go func() {
		_, err := r.run()
		ended <- err
	}()

	select {
	case err := <-ended:
		if err == nil {
			r.tb.Errorf("the run succeeded without %s", table)
		}
	case <-time.After(longest):
		close(released)
		r.tb.Errorf("the run did not end: %v", <-ended)
	}
}
