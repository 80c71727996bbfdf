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

// ErrStalled is the reason for giving back work that made no progress for too long.
var ErrStalled = errors.New("no progress")

// lease keeps a claim alive while its work makes progress. Its context ends when the claim is lost.
type lease struct {
	ctx      context.Context //nolint:containedctx // the context of the work under the lease
	cancel   context.CancelCauseFunc
	unit     sqlrepo.Unit
	attempts int64
	// waits is set while the work waits for other work: then it can't make progress.
	waits atomic.Bool
	done  atomic.Int64
	// shipped counts the bytes sent to the store. They prove that the work is alive, but are not part of its progress.
	shipped atomic.Int64
	stopped chan struct{}
	once    sync.Once
}

// keep renews a claim until the lease is stopped. When renewing fails, it cancels the lease's context.
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

// progress reports that work was done.
func (l *lease) progress(n int64) { l.done.Add(n) }

// sent reports that bytes were sent to the store.
func (l *lease) sent(n int64) { l.shipped.Add(n) }

// renew sends heartbeats until the lease is stopped. It returns an error if a heartbeat fails or the work stalls.
func (l *lease) renew(c *crew) error {
	moved, last, shipped := time.Now(), int64(-1), int64(0)
	return presence.Beat(l.ctx, c.claim.Term, func() error {
		// Work that waits for other work does not stall.
		if done, now := l.done.Load(), l.shipped.Load(); done != last || now != shipped || l.waits.Load() {
			moved, last, shipped = time.Now(), done, now
		}

		if time.Since(moved) >= c.limits.StallTimeout {
			return c.stalled(l)
		}

		err := c.Repo.Renew(l.ctx, l.unit, c.claim.Term, last)
		if l.ctx.Err() != nil { // the lease was stopped meanwhile, so the error does not matter
			return nil
		}
		return err
	})
}

// stalled gives the work back at once: the call that hangs may never return.
func (c *crew) stalled(l *lease) error {
	failure := fmt.Errorf("%w for %s", ErrStalled, c.limits.StallTimeout)
	err := c.Repo.Fail(l.ctx, l.unit, failure.Error(), pause(c.limits.Pause, l.attempts+1))
	return errors.Join(failure, err)
}

// stop stops renewing the claim and waits until the renewing goroutine has ended.
func (l *lease) stop() {
	l.once.Do(func() { l.cancel(nil) })
	<-l.stopped
}

// blame prepends the reason why the lease ended to the error that followed from it.
func (l *lease) blame(failure error) error {
	cause := context.Cause(l.ctx)
	if cause == nil || errors.Is(cause, context.Canceled) || errors.Is(failure, cause) {
		return failure
	}
	return fmt.Errorf("%w: %w", cause, failure)
}
