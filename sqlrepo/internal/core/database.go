// Package core is what the packages of the repository are built on: a database whose transactions are retried, and
// which renders statements itself.
package core

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	*dialect.DB
	// Writer runs single statements that change rows, Reader those that only read.
	Writer, Reader Session

	now      func() time.Time
	clock    func() time.Time
	retryFor time.Duration
	backoff  time.Duration
	outage   outage
	receipts receipts
	// rewound is set once the database is known to have lost commits.
	rewound atomic.Bool
}

// Settings say how a DB works.
type Settings struct {
	// Clock, if not nil, is the source of all times, which otherwise come from the clocks of the host and the
	// database.
	Clock func() time.Time
	// RetryFor is how long a transaction is retried while the database can't be reached or is busy.
	RetryFor time.Duration
}

// New returns a DB that uses an open database. The caller closes db.
func New(db *dialect.DB, settings Settings) *DB {
	d := &DB{
		DB:     db,
		Writer: Session{db.Writer, db.Placeholder},
		Reader: Session{db.Reader, db.Placeholder},

		now:      time.Now,
		clock:    settings.Clock,
		retryFor: settings.RetryFor,
		backoff:  firstBackoff,
	}
	if d.clock != nil {
		d.now = d.clock
	}
	db.Mark = d.lockMark
	return d
}

// Now returns the time by the clock of the host, or by the one that stands in for it.
func (db *DB) Now() time.Time { return db.now() }

// At returns a time by the database's clock, or by the clock that stands in for it.
func (db *DB) At(offset time.Duration) sq.Sqlizer {
	if db.clock == nil {
		return db.Clock(offset)
	}
	return sq.Expr("CAST(? AS BIGINT)", db.clock().Add(offset).UnixMicro())
}

// ReadOne reads exactly one row, or returns ErrNotFound. It retries while the database is away.
func (db *DB) ReadOne(ctx context.Context, doing string, dest any, statement sq.Sqlizer) error {
	return db.Retry(ctx, doing, func() error { return db.Reader.Get(ctx, dest, statement) })
}

// ReadAll reads all rows into the slice that dest points to. It retries while the database is away.
func (db *DB) ReadAll(ctx context.Context, doing string, dest any, statement sq.Sqlizer) error {
	return db.Retry(ctx, doing, func() error { return db.Reader.List(ctx, dest, statement) })
}

// Change runs a single update outside of a transaction and returns how many rows it changed. It returns ErrLockLost
// if a lock of the handle was lost. It does not retry: the caller knows whether the update may run twice.
func (db *DB) Change(ctx context.Context, update sq.UpdateBuilder) (rows int64, err error) {
	defer db.logLongWait().Stop()
	rows, err = db.Writer.Exec(ctx, update.Where(db.StillLocked()))
	if err == nil && rows == 0 {
		err = db.Prove(ctx, db.DB.Writer)
	}
	return rows, err
}

// ChangeOne is like Change and reads the row that the update returns, or returns ErrNotFound if it changed none.
func (db *DB) ChangeOne(ctx context.Context, dest any, update sq.UpdateBuilder) error {
	defer db.logLongWait().Stop()
	err := db.Writer.Get(ctx, dest, update.Where(db.StillLocked()))
	if errors.Is(err, ErrNotFound) {
		if err := db.Prove(ctx, db.DB.Writer); err != nil {
			return err
		}
	}
	return err
}
