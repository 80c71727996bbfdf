package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

const (
	firstBackoff   = 20 * time.Millisecond
	longestBackoff = 5 * time.Second
)

// heldUpFor is how long this process waits for another one to write before it logs that.
const heldUpFor = 3 * time.Second

// logLongWait logs who keeps this process from writing, unless the timer is stopped before.
func (db *DB) logLongWait() *time.Timer { return time.AfterFunc(heldUpFor, db.logWriter) }

func (db *DB) logWriter() {
	if who := db.Writing(); who != "" {
		db.Log.Warn("another process keeps everybody from writing to the database; waiting for it", "who", who)
	}
}

// Retry runs attempt until it succeeds, fails for good, or has failed for longer than allowed. It returns ErrRewound
// once the database is known to have lost commits.
func (db *DB) Retry(ctx context.Context, doing string, attempt func() error) (err error) {
	wait, started, away, nextTold := db.backoff, time.Time{}, false, heldUpFor
	defer func() {
		if away {
			db.outage.ended(db, doing, err)
		}
	}()

	for {
		if db.rewound.Load() {
			return fmt.Errorf("%s: %w", doing, ErrRewound)
		}

		err := attempt()
		if !db.retryable(ctx, err) {
			return db.final(ctx, doing, err)
		}

		// The time allowed counts from the first failure.
		if started.IsZero() {
			started = time.Now()
		}
		if !away && db.Classify(err) == dialect.Unavailable {
			away = true
			db.outage.began(db, doing, err)
		}

		if waited := time.Since(started); waited >= nextTold {
			nextTold += max(waited, heldUpFor)
			db.logWriter()
		}

		if time.Since(started) >= db.retryFor {
			if who := db.Writing(); who != "" {
				err = fmt.Errorf("%w: %s keeps everybody from writing", err, who)
			}
			return db.Classified(fmt.Sprintf("%s: given up after %s", doing, db.retryFor), err)
		}

		// Random pauses keep processes from retrying in step.
		pause := wait/2 + rand.N(wait)
		select {
		case <-ctx.Done():
			return db.final(ctx, doing, fmt.Errorf("while retrying after: %w", err))
		case <-time.After(min(pause, db.retryFor)):
		}
		wait = min(2*wait, longestBackoff)
	}
}

func (db *DB) retryable(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	class := db.Classify(err)
	return class == dialect.Conflict || class == dialect.Unavailable
}

// final blames a failure on the context once that has ended: drivers then break off with errors of their own.
func (db *DB) final(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil || ctx.Err() == nil:
		return db.Classified(doing, err)
	case errors.Is(context.Cause(ctx), ctx.Err()):
		return fmt.Errorf("%s: %w: %w", doing, context.Cause(ctx), err)
	}
	return fmt.Errorf("%s: %w: %w: %w", doing, ctx.Err(), context.Cause(ctx), err)
}
