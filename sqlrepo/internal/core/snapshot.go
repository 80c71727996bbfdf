package core

import (
	"context"
	"database/sql"
	"errors"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
)

// Snapshot is a transaction that only reads, and sees one state of the database until it ends.
type Snapshot struct {
	Session
	db *DB
	tx *sqlx.Tx
}

// BeginSnapshot begins a snapshot. The caller ends it. The first read fixes the state that it sees.
func (db *DB) BeginSnapshot(ctx context.Context) (*Snapshot, error) {
	return db.SnapshotOn(ctx, db.DB.Reader)
}

// SnapshotOn is like BeginSnapshot on a connection that the caller has.
func (db *DB) SnapshotOn(ctx context.Context, on interface {
	BeginTxx(ctx context.Context, options *sql.TxOptions) (*sqlx.Tx, error)
}) (*Snapshot, error) {
	options := db.Snapshot
	tx, err := on.BeginTxx(ctx, &options)
	if err != nil {
		return nil, err
	}

	s := &Snapshot{Session{tx, db.Placeholder}, db, tx}
	if err := db.unhurried(ctx, s.Session); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return s, nil
}

// Prove returns ErrLockLost if a lock of the handle was lost. Locks that are held stay so until the snapshot ends.
func (s *Snapshot) Prove(ctx context.Context) error { return s.db.Prove(ctx, s.tx) }

// End ends the snapshot. It has changed nothing, so no failure matters.
func (s *Snapshot) End() { _ = s.tx.Rollback() }

// Observe runs fn in a snapshot. It does not run fn again after a failure: fn may have reported what it saw.
func (db *DB) Observe(ctx context.Context, doing string, fn func(*Snapshot) error) error {
	s, err := db.BeginSnapshot(ctx)
	if err != nil {
		return db.final(ctx, doing, err)
	}
	defer s.End()

	began := time.Now()
	err = fn(s)
	db.Log.Debug(doing, "took", time.Since(began))
	return db.final(ctx, doing, err)
}

// unhurried makes the server tolerate that a transaction takes long.
func (db *DB) unhurried(ctx context.Context, tx Session) error {
	if db.Unhurried == "" {
		return nil
	}
	_, err := tx.Exec(ctx, sq.Expr(db.Unhurried))
	return err
}
