package pipeline_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// hangingStore is a store where calls of one operation hang, whatever their contexts say, until it is released. Then
// they are carried out.
type hangingStore struct {
	*storetest.Faulty
	released chan struct{}
	hung     atomic.Int64
}

func newHangingStore(files store.Store, op string) *hangingStore {
	h := &hangingStore{released: make(chan struct{})}
	h.Faulty = &storetest.Faulty{Store: files, Fail: func(called string) error {
		if called == op {
			h.hung.Add(1)
			<-h.released
		}
		return nil
	}}
	return h
}

func (h *hangingStore) Unfinished(ctx context.Context, prefix string) ([]store.Unfinished, error) {
	_ = h.Fail("unfinished")
	return h.Faulty.Unfinished(ctx, prefix)
}

func (h *hangingStore) Size(ctx context.Context, name string) (int64, error) {
	_ = h.Fail("size")
	return h.Faulty.Size(ctx, name)
}

// stall is long for a call of a store in these tests, and longest for a run.
const (
	stall   = 500 * time.Millisecond
	longest = 20 * time.Second
)

// TestAReplicaThatHangs: a file server that is away may keep calls for ever. The upload is complete all the same, and
// the run does not wait for these calls. What they do later does no harm.
func TestAReplicaThatHangs(t *testing.T) {
	for _, op := range []string{"open", "unfinished", "size", "create", "write", "commit"} {
		t.Run(op, func(t *testing.T) {
			enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) { hangIn(t, db, op) })
		})
	}
}

func hangIn(t *testing.T, db *dialect.DB, op string) {
	t.Helper()
	r := newReplicated(t, db, func(j *pipeline.Job) { j.Limits.Lease, j.Limits.StallTimeout = stall, stall })
	replica, hanging := r.replica, newHangingStore(r.replica, op)
	r.replica = hanging
	r.job.Sending.Open = func(ctx context.Context, identity string) (store.Store, error) {
		if identity == r.to.Store {
			_ = hanging.Fail("open")
		}
		return r.open(ctx, identity)
	}

	leaks := goleak.IgnoreCurrent()
	ended := make(chan struct{})
	var result pipeline.Result
	var err error
	go func() {
		defer close(ended)
		result, err = r.run()
	}()

	late := false
	select {
	case <-ended:
	case <-time.After(longest):
		late = true
	}

	// The calls that hang end before the test does, in any case.
	close(hanging.released)
	<-ended
	goleak.VerifyNone(t, leaks, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))

	must(t, err)
	equal(t, "state", result.Upload.State, sqlrepo.Complete)
	if hung := hanging.hung.Load(); late || hung == 0 {
		t.Fatalf("%d calls hung, and the run did not end: %t", hung, late)
	}

	r.replica = replica
	r.ran()
	r.same()
}
