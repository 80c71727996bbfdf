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

// errOutcomeUnknown marks a commit that got no answer, with the receipt that tells its outcome.
type errOutcomeUnknown struct {
	receipt string
	err     error
}

func (e *errOutcomeUnknown) Error() string { return "commit got no answer: " + e.err.Error() }
func (e *errOutcomeUnknown) Unwrap() error { return e.err }

// withTx runs fn in a transaction and commits it. The whole of fn is run again when it loses against another
// transaction or the database goes away, so fn must not change anything but the database and what it returns.
func (r *Repository) withTx(ctx context.Context, doing string, fn func(*dialect.Tx) error) error {
	var pending string
	return r.retry(ctx, doing, func() error {
		if pending != "" {
			committed, err := r.db.Committed(ctx, r.db, pending)
			if err != nil || committed {
				return err
			}
			pending = ""
		}
		err := r.once(ctx, fn)
		var unknown *errOutcomeUnknown
		if errors.As(err, &unknown) {
			pending = unknown.receipt
		}
		return err
	})
}

// once runs fn in one transaction; a panic in fn rolls it back and goes on.
func (r *Repository) once(ctx context.Context, fn func(*dialect.Tx) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tx, err := r.db.Begin(ctx)
	if err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			// A server that does not answer must not hold up the rollback: the driver then drops the connection.
			defer time.AfterFunc(rollbackTimeout, cancel).Stop()
			_ = tx.Rollback() // what went wrong before is what the caller hears of
		}
		err = errors.Join(err, tx.Release())
	}()
	if err := fn(tx); err != nil {
		return err
	}
	receipt, err := r.db.Receipt(ctx, tx)
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		if receipt != "" && r.db.Classify(err) == dialect.Unavailable {
			return &errOutcomeUnknown{receipt, err}
		}
		return err
	}
	committed = true
	return nil
}

// read runs a query that changes nothing, again and again while the database is away.
func (r *Repository) read(ctx context.Context, doing string, fn func() error) error {
	return r.retry(ctx, doing, fn)
}

// retry runs attempt until it succeeds, fails for good, or has been failing for longer than allowed.
func (r *Repository) retry(ctx context.Context, doing string, attempt func() error) error {
	wait, started := r.backoff, time.Time{}
	for {
		err := attempt()
		if !r.retryable(ctx, err) {
			if !started.IsZero() && err == nil {
				r.outage.ended(r, doing)
			}
			return r.classified(doing, err)
		}
		if started.IsZero() {
			started = time.Now()
			r.outage.began(r, doing, err)
		}
		if time.Since(started) >= r.retryFor {
			return r.classified(fmt.Sprintf("%s: given up after %s", doing, r.retryFor), err)
		}
		pause := wait/2 + rand.N(wait)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (while retrying after: %w)", doing, context.Cause(ctx), err)
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

// outage is told once when it begins and once when it ends, however many transactions wait for the same database.
type outage struct {
	mu      sync.Mutex
	ongoing bool
}

func (o *outage) began(r *Repository, doing string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ongoing && r.db.Classify(err) == dialect.Unavailable {
		o.ongoing = true
		r.db.Log.Warn("the database is away; retrying", "doing", doing, "for", r.retryFor, "error", err)
	}
}

func (o *outage) ended(r *Repository, doing string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ongoing {
		o.ongoing = false
		r.db.Log.Info("the database is back", "doing", doing)
	}
}
