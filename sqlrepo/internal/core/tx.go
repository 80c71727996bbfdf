package core

import (
	"context"
	"errors"
	"time"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// Tx is a transaction.
type Tx struct {
	Session
	// DB is the database, for the parts of statements that differ between engines.
	DB *DB
	tx *dialect.Tx
}

// Transact runs fn in a transaction and commits it. It runs all of fn again if the transaction loses against another
// one or the database goes away, so fn must change nothing but the database and what it returns.
func (db *DB) Transact(ctx context.Context, doing string, fn func(*Tx) error) error {
	if !db.Server { // no commit is without an answer
		return db.Retry(ctx, doing, func() error { return db.once(ctx, fn) })
	}

	receipt, err := db.takeReceipt(ctx)
	if err != nil {
		return err
	}

	again, unsure := false, false
	err = db.Retry(ctx, doing, func() error {
		err := db.onceWith(ctx, receipt, again, fn)
		again = true
		// An attempt that got no answer may still be committed.
		unsure = unsure || db.Classify(err) == dialect.Unavailable
		return err
	})

	// A receipt must not be used again while an attempt that raised it may still be committed.
	if err == nil || ctx.Err() == nil && !unsure {
		db.receipts.giveBack(receipt)
	}
	return err
}

// once runs fn in one transaction. A panic in fn rolls the transaction back and goes on.
func (db *DB) once(ctx context.Context, fn func(*Tx) error) (err error) {
	wait := db.logLongWait()
	tx, err := db.Begin(ctx)
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
		if db.Classify(err) == dialect.Unavailable {
			release = tx.Discard // after a failover the server is there, but can't be written to
		}
		err = errors.Join(err, release())
	}()

	if err := fn(&Tx{Session{tx, db.Placeholder}, db, tx}); err != nil {
		return err
	}

	if err := tx.Commit(ctx); err != nil {
		return err
	}
	committed = true
	return nil
}

const rollbackTimeout = 5 * time.Second

// rollback is not held up by a server that does not answer: the connection is then dropped. What went wrong before is
// what the caller hears of.
func rollback(ctx context.Context, tx *dialect.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// Later queues a statement to run with those that follow. check, if not nil, gets the number of rows that it
// changed.
func (tx *Tx) Later(ctx context.Context, statement sq.Sqlizer, check func(rows int64) error) error {
	return tx.LaterRead(ctx, nil, statement, check)
}

// LaterRead is like Later for a statement that reads a row of numbers into values.
func (tx *Tx) LaterRead(ctx context.Context, values []int64, statement sq.Sqlizer,
	check func(rows int64) error) error {
	text, args, err := tx.render(statement)
	if err != nil {
		return err
	}
	return tx.tx.Later(ctx, dialect.Statement{Text: text, Args: args, Values: values, Check: check})
}

// Flush runs the statements given to Later.
func (tx *Tx) Flush(ctx context.Context) error { return tx.tx.Flush(ctx) }

// ReadNow runs a statement after all queued ones, and reads a row of numbers into values.
func (tx *Tx) ReadNow(ctx context.Context, values []int64, statement sq.Sqlizer) error {
	if err := tx.LaterRead(ctx, values, statement, nil); err != nil {
		return err
	}
	return tx.Flush(ctx)
}

// NextIDs takes n keys from a counter and returns the first. A rollback gives them back.
func (tx *Tx) NextIDs(ctx context.Context, counter string, n int) (int64, error) {
	last := make([]int64, 1)
	err := tx.ReadNow(ctx, last, Raised(counter, n))
	return last[0] - int64(n) + 1, err
}

// BulkInsert adds n rows. The function row returns the i-th row, in a slice that is only used until the next call.
func (tx *Tx) BulkInsert(ctx context.Context, table string, columns []string, n int, row func(i int) []any) error {
	return tx.DB.BulkInsert(ctx, tx.tx, table, columns, n, row)
}

// WithoutIndexes runs fn, which fills a table, while the table has no index except its primary key.
func (tx *Tx) WithoutIndexes(ctx context.Context, table string, fn func() error) error {
	return tx.DB.WithoutIndexes(ctx, tx.tx, table, fn)
}

// Unhurried makes the server tolerate that the transaction takes long.
func (tx *Tx) Unhurried(ctx context.Context) error { return tx.DB.unhurried(ctx, tx.Session) }
