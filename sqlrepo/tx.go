package sqlrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

const (
	firstBackoff    = 20 * time.Millisecond
	longestBackoff  = 5 * time.Second
	rollbackTimeout = 5 * time.Second
)

// withTx runs fn in a transaction and commits it. It runs all of fn again if the transaction loses against another
// one or the database goes away, so fn must change nothing but the database and what it returns.
func (r *Repository) withTx(ctx context.Context, doing string, fn func(*dialect.Tx) error) error {
	if !r.db.Server { // no commit is without an answer
		return r.retry(ctx, doing, func() error { return r.once(ctx, fn) })
	}

	receipt, err := r.takeReceipt(ctx)
	if err != nil {
		return err
	}

	again, unsure := false, false
	err = r.retry(ctx, doing, func() error {
		err := r.onceWith(ctx, receipt, again, fn)
		again = true
		// An attempt that got no answer may still be committed.
		unsure = unsure || r.db.Classify(err) == dialect.Unavailable
		return err
	})

	// A receipt must not be used again while an attempt that raised it may still be committed.
	if err == nil || ctx.Err() == nil && !unsure {
		r.receipts.giveBack(receipt)
	}
	return err
}

// once runs fn in one transaction. A panic in fn rolls the transaction back and goes on.
func (r *Repository) once(ctx context.Context, fn func(*dialect.Tx) error) (err error) {
	wait := r.tellWait()
	tx, err := r.db.Begin(ctx)
	wait.Stop()
	if err != nil {
		return err
	}

	committed := false
	// This also runs if fn panics.
	defer func() {
		if !committed {
			rollback(ctx, tx)
		}
		release := tx.Release
		if r.db.Classify(err) == dialect.Unavailable {
			release = tx.Discard // after a failover the server is there, but can't be written to
		}
		err = errors.Join(err, release())
	}()

	if err := fn(tx); err != nil {
		return err
	}

	if err := tx.Commit(ctx); err != nil {
		return err
	}
	committed = true
	return nil
}

// heldUpFor is how long this process waits for another one to write before it logs that.
const heldUpFor = 3 * time.Second

// tellWait logs who keeps this process from writing, unless the timer is stopped before.
func (r *Repository) tellWait() *time.Timer { return time.AfterFunc(heldUpFor, r.tellWho) }

func (r *Repository) tellWho() {
	if who := r.db.Writing(); who != "" {
		r.db.Log.Warn("another process keeps everybody from writing to the database; waiting for it", "who", who)
	}
}

// rollback is not held up by a server that does not answer: the connection is then dropped. What went wrong before is
// what the caller hears of.
func rollback(ctx context.Context, tx *dialect.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// read runs a query that changes nothing, and retries while the database is away.
func (r *Repository) read(ctx context.Context, doing string, fn func() error) error {
	return r.retry(ctx, doing, fn)
}

// retry runs attempt until it succeeds, fails for good, or has failed for longer than allowed.
func (r *Repository) retry(ctx context.Context, doing string, attempt func() error) (err error) {
	wait, started, away, nextTold := r.backoff, time.Time{}, false, heldUpFor
	defer func() {
		if away {
			r.outage.ended(r, doing, err)
		}
	}()

	for {
		err := attempt()
		if !r.retryable(ctx, err) {
			return r.final(ctx, doing, err)
		}

		// The time allowed counts from the first failure.
		if started.IsZero() {
			started = time.Now()
		}
		if !away && r.db.Classify(err) == dialect.Unavailable {
			away = true
			r.outage.began(r, doing, err)
		}

		if waited := time.Since(started); waited >= nextTold {
			nextTold += max(waited, heldUpFor)
			r.tellWho()
		}

		if time.Since(started) >= r.retryFor {
			if who := r.db.Writing(); who != "" {
				err = fmt.Errorf("%w: %s keeps everybody from writing", err, who)
			}
			return r.classified(fmt.Sprintf("%s: given up after %s", doing, r.retryFor), err)
		}

		// Random pauses keep processes from retrying in step.
		pause := wait/2 + rand.N(wait)
		select {
		case <-ctx.Done():
			return r.final(ctx, doing, fmt.Errorf("while retrying after: %w", err))
		case <-time.After(min(pause, r.retryFor)):
		}
		wait = min(2*wait, longestBackoff)
	}
}

func (r *Repository) retryable(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	class := r.db.Classify(err)
	return class == dialect.Conflict || class == dialect.Unavailable
}

// final blames a failure on the context once that has ended: drivers then break off with errors of their own.
func (r *Repository) final(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil || ctx.Err() == nil:
		return r.classified(doing, err)
	case errors.Is(context.Cause(ctx), ctx.Err()):
		return fmt.Errorf("%s: %w: %w", doing, context.Cause(ctx), err)
	}
	return fmt.Errorf("%s: %w: %w: %w", doing, ctx.Err(), context.Cause(ctx), err)
}

// outage logs an outage once when it begins and once when it ends, however many transactions wait for the database.
type outage struct {
	mu      sync.Mutex
	waiting int
}

func (o *outage) began(r *Repository, doing string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting++
	if o.waiting == 1 {
		r.db.Log.Warn("the database is away; retrying", "doing", doing, "for", r.retryFor, "error", r.db.Explain(err))
	}
}

// ended logs the end of an outage when the last that waited has succeeded. One that gave up does not know of the
// end.
func (o *outage) ended(r *Repository, doing string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting--
	if o.waiting == 0 && err == nil {
		r.db.Log.Info("the database is back", "doing", doing)
	}
}
