package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrStalled is why work is given back of which nothing was done for too long.
var ErrStalled = errors.New("no progress")

// lease keeps a claim alive while the work makes progress. Its context ends when the claim is lost.
type lease struct {
	ctx      context.Context //nolint:containedctx // that of the work under the lease
	cancel   context.CancelCauseFunc
	unit     sqlrepo.Unit
	attempts int64
	// waits is set while the work waits for others, when there is no progress to be made.
	waits atomic.Bool
	done  atomic.Int64
	// shipped is what went to the store, which tells that there is progress and counts as none.
	shipped atomic.Int64
	stopped chan struct{}
	once    sync.Once
}

// keep renews a claim until the lease is stopped.
func (c *crew) keep(ctx context.Context, unit sqlrepo.Unit, attempts int64) *lease {
	l := &lease{unit: unit, attempts: attempts, stopped: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(l.stopped)
		if err := l.renew(c); err != nil {
			l.cancel(err)
			c.sealer.lost(unit)
		}
	}()
	return l
}

// progress tells that work was done.
func (l *lease) progress(n int64) { l.done.Add(n) }

// sent tells that bytes went to the store.
func (l *lease) sent(n int64) { l.shipped.Add(n) }

// renew renews the claim until the lease's context ends, and gives the work back if it makes no progress.
func (l *lease) renew(c *crew) error {
	moved, last, shipped := time.Now(), int64(-1), int64(0)
	return presence.Beat(l.ctx, c.claim.Term, func() error {
		if done, now := l.done.Load(), l.shipped.Load(); done != last || now != shipped || l.waits.Load() {
			moved, last, shipped = time.Now(), done, now
		}
		if time.Since(moved) >= c.limits.StallTimeout {
			return c.stalled(l)
		}

		err := c.Repo.Renew(l.ctx, l.unit, c.claim.Term, last)
		if l.ctx.Err() != nil { // the work has ended meanwhile
			return nil
		}
		return err
	})
}

// stalled gives the work back at once: what hangs in it may never return.
func (c *crew) stalled(l *lease) error {
	failure := fmt.Errorf("%w for %s", ErrStalled, c.limits.StallTimeout)
	err := c.Repo.Fail(l.ctx, l.unit, failure.Error(), pause(c.limits.Pause, l.attempts+1))
	return errors.Join(failure, err)
}

// stop ends the renewing.
func (l *lease) stop() {
	l.once.Do(func() { l.cancel(nil) })
	<-l.stopped
}

// blame puts the reason for which the lease ended before what came of it.
func (l *lease) blame(failure error) error {
	cause := context.Cause(l.ctx)
	if cause == nil || errors.Is(cause, context.Canceled) || errors.Is(failure, cause) {
		return failure
	}
	return fmt.Errorf("%w: %w", cause, failure)
}
