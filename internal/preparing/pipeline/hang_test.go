package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
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
// the run does not wait for these calls. What they do later does no harm. Since the runs mostly wait, they go side by
// side, each with a database and stores of its own.
func TestAReplicaThatHangs(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		var runs []*hangingRun
		for _, op := range []string{"open", "unfinished", "size", "create", "write", "commit"} {
			runs = append(runs, newHangingRun(t, another(t, db), op))
		}

		verify := enginetest.LeavesNothing(t)
		for _, run := range runs {
			run.start()
		}
		patience, stop := context.WithTimeout(t.Context(), 3*longest)
		defer stop()
		for _, run := range runs {
			run.wait(patience)
		}

		// The calls that hang end before the test does, in any case.
		for _, run := range runs {
			close(run.hanging.released)
		}
		for _, run := range runs {
			<-run.ended
		}
		verify()

		for _, run := range runs {
			run.check()
		}
	})
}

// another opens another database of the same engine.
func another(t *testing.T, db *dialect.DB) *dialect.DB {
	t.Helper()
	for _, engine := range enginetest.Engines() {
		if engine.Name == db.Name {
			return engine.Open(t)
		}
	}
	t.Fatalf("there is no engine %s", db.Name)
	return nil
}

// hangingRun is a run whose replica hangs in one operation.
type hangingRun struct {
	*replicated
	t       *testing.T
	op      string
	hanging *hangingStore
	ended   chan struct{}
	late    bool
	result  pipeline.Result
	err     error
	// left is why files stayed unsent.
	left error
}

func newHangingRun(t *testing.T, db *dialect.DB, op string) *hangingRun {
	t.Helper()
	// A busy machine that all runs share must not take their own leases from them.
	r := newReplicated(t, db, func(j *pipeline.Job) { j.Limits.Lease, j.Limits.StallTimeout = 4*stall, 4*stall })
	h := &hangingRun{replicated: r, t: t, op: op, hanging: newHangingStore(r.replica, op), ended: make(chan struct{})}
	r.job.Sending = &pipeline.Sending{Spaces: []int64{r.to.Space},
		Open: func(ctx context.Context, identity string) (store.Store, error) {
			if identity != r.to.Store {
				return r.open(ctx, identity)
			}
			_ = h.hanging.Fail("open")
			return h.hanging, nil
		},
		Left: func(_ sqlrepo.SpaceReplica, left error) { h.left = left },
	}
	return h
}

func (h *hangingRun) start() {
	go func() {
		defer close(h.ended)
		h.result, h.err = h.run()
	}()
}

// wait waits until the run has ended, or until it is late.
func (h *hangingRun) wait(patience context.Context) {
	select {
	case <-h.ended:
	case <-patience.Done():
		h.late = true
	}
}

// check checks that the upload was completed in time, and that the next run sends the rest.
func (h *hangingRun) check() {
	h.t.Helper()
	must(h.t, h.err)
	equal(h.t, h.op+": state", h.result.Upload.State, sqlrepo.Complete)
	if hung := h.hanging.hung.Load(); h.late || hung == 0 {
		h.t.Errorf("%s: %d calls hung, and the run did not end: %t", h.op, hung, h.late)
	}

	// The store that does not answer is named, and the sending is shown.
	if !errors.Is(h.left, store.ErrUnusable) || !strings.Contains(h.left.Error(), h.name(h.t)) {
		h.t.Errorf("%s: left: %v", h.op, h.left)
	}
	sending := func(part progress.State) bool { return part.Doing == "sending to replicas" }
	if parts := h.job.Progress.State().Parts; !slices.ContainsFunc(parts, sending) {
		h.t.Errorf("%s: shown: %+v", h.op, parts)
	}

	h.job.Sending = &pipeline.Sending{Spaces: []int64{h.to.Space}, Open: h.open}
	h.ran()
	h.same()
}

// name returns the name of the replica.
func (r *replicated) name(t *testing.T) string {
	t.Helper()
	rows, err := r.job.Repo.Stores(t.Context())
	must(t, err)
	for _, row := range rows {
		if row.Identity == r.to.Store {
			return row.Name
		}
	}
	t.Fatal("the replica is not known")
	return ""
}
