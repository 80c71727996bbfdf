package postgres

import (
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// Behind a pooler in transaction mode a session is given to others after each transaction. There LockAll is a
// transaction that stays open, and with it a connection to the server, until the lock is released. LockUse would keep
// one for each process, and a pooler has few: each of its transactions takes the lock for itself.

// lockPooled is like lockExclusive, but in a transaction that stays open. That transaction must not keep the locks
// of classUseCommit and classAllCommit.
const lockPooled = `SELECT key, CASE WHEN NOT pg_try_advisory_xact_lock($2, key) THEN 0
	WHEN pg_try_advisory_xact_lock($3, $4) THEN 2 ELSE 1 END AS answer FROM (SELECT ` + useKey + ` AS key) AS schema`

// beginLock begins the transaction that holds a lock. It idles for as long as the lock is held.
func beginLock(ctx context.Context, conn *sqlx.Conn) error {
	for _, statement := range []string{"BEGIN", noSessionLimits} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// othersCommit reports whether transactions are under way that were begun under a lock whose session has ended.
func othersCommit(ctx context.Context, db *dialect.DB, key int32) (committing bool, err error) {
	err = db.Writer.GetContext(ctx, &committing,
		"SELECT NOT (pg_try_advisory_xact_lock($1, $3) AND pg_try_advisory_xact_lock($2, $3))",
		classUseCommit, classAllCommit, key)
	return committing, err
}

// pooledLock stands for a shared lock behind a pooler, which gives the connection of a session to others after each
// transaction. Each transaction takes the lock on its own.
type pooledLock struct {
	dialect.Watchers
	db *dialect.DB
}

// Fence implements dialect.Guard.
func (l *pooledLock) Fence() sq.Sqlizer {
	return sq.Expr("CASE WHEN pg_try_advisory_xact_lock_shared(?, COALESCE("+currentSchema+"::int4, ?)) THEN 1 "+
		"ELSE 0 END", classUse, futureSchema(l.db.Settings))
}

// Failed implements dialect.Guard.
func (l *pooledLock) Failed() error {
	l.End(fmt.Errorf("%w: another process has locked all of it, from which a pooler in transaction mode can't keep it",
		dialect.ErrLockLost))
	return l.Lost()
}

// Release implements dialect.Lock.
func (l *pooledLock) Release() error {
	l.db.RemoveGuard(l)
	l.End(context.Canceled)
	return nil
}
