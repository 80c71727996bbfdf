package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync/atomic"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// These are the classes of advisory locks. They distinguish this program's locks from others in the same database.
// The first spells "gupp".
//
// classUse is held shared by all processes that use the tables of a schema, and exclusively by a process that must
// be alone. A session that holds such a lock may end, and the lock with it, while its holder has a transaction under
// way on another connection. For that reason each transaction takes classUseCommit or classAllCommit, shared, and
// then makes sure that the session is still there. The session holds a lock of class classSession for that purpose.
// A process that takes the lock after the session has ended waits for such transactions.
const (
	classUse int32 = 0x67757070 + iota
	classUseCommit
	classAllCommit
	classSession
)

// useKey is the key of a schema's locks, or of futureSchema.
const useKey = "COALESCE(" + currentSchema + "::int4, $1)"

// futureSchema returns the key that stands for a schema that is not made yet.
func futureSchema(s dialect.Settings) int32 {
	return int32(crc32.ChecksumIEEE([]byte(optionsOf(s).Schema)))
}

// A server notices only a moment after the death of a process that its connection, and with it its lock, is gone.
const (
	lockPatience = time.Second
	lockPause    = 50 * time.Millisecond
	lockCheck    = 2 * time.Second
	// lockSilence is how long a shared lock's connection may be silent before the lock is taken again over another one.
	lockSilence = 5 * time.Second
)

// lockAnswer says whether the lock was taken: Answer is lockedByUs, 0 if others have the lock, or 1 if they are
// committing.
type lockAnswer struct {
	Answer int   `db:"answer"`
	Key    int32 `db:"key"`
}

const lockedByUs = 2

// errLockUnsure is returned while it is unknown whether a lock was lost.
var errLockUnsure = errors.New("the session that holds the lock on the database has ended")

const (
	lockShared = `SELECT key, CASE WHEN NOT pg_try_advisory_lock_shared($2, key) THEN 0
		WHEN pg_try_advisory_lock($3, $4) AND pg_try_advisory_xact_lock($5, key) THEN 2 ELSE 1 END AS answer
		FROM (SELECT ` + useKey + ` AS key) AS schema`
	lockExclusive = `SELECT key, CASE WHEN NOT pg_try_advisory_lock($2, key) THEN 0
		WHEN pg_try_advisory_lock($3, $4) AND pg_try_advisory_xact_lock($5, key) AND pg_try_advisory_xact_lock($6, key)
		THEN 2 ELSE 1 END AS answer FROM (SELECT ` + useKey + ` AS key) AS schema`
)

// sessionLock is an advisory lock on a connection of its own. When the process ends, its connection ends too, and
// the server frees the lock.
type sessionLock struct {
	dialect.Watchers
	db        *dialect.DB
	exclusive bool
	// pooled is true if the lock belongs to a transaction instead of a session.
	pooled bool
	// marked is the latest result of the handle's Mark.
	marked int64
	conn   *sqlx.Conn
	// key stands for the schema, session for the connection that holds the lock.
	key, session atomic.Int32
	suspected    chan struct{}
	stop         context.CancelFunc
	kept         chan struct{}
}

// LockUse implements dialect.Locker.
func (Engine) LockUse(ctx context.Context, db *dialect.DB) (dialect.Lock, error) {
	if optionsOf(db.Settings).TransactionPooler {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l := &pooledLock{db: db}
		db.AddGuard(l)
		return l, nil
	}
	return takeLock(ctx, &sessionLock{db: db})
}

// LockAll implements dialect.Locker.
func (Engine) LockAll(ctx context.Context, db *dialect.DB) (dialect.Lock, error) {
	return takeLock(ctx, &sessionLock{db: db, exclusive: true, pooled: optionsOf(db.Settings).TransactionPooler})
}

// takeLock takes a lock and starts to look after it.
func takeLock(ctx context.Context, l *sessionLock) (dialect.Lock, error) {
	l.kept, l.suspected = make(chan struct{}), make(chan struct{}, 1)
	if err := l.lock(ctx, false); err != nil {
		return nil, err
	}
	keeping, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.db.AddGuard(l)
	go l.keep(keeping)
	return l, nil
}

// lock takes the lock on a new connection. A lock that is taken again is lost if its mark has changed.
func (l *sessionLock) lock(ctx context.Context, again bool) error {
	conn, err := l.db.Writer.Connx(ctx)
	if err != nil {
		return err
	}

	key, session, marked := int32(0), rand.Int32(), l.marked
	if l.pooled {
		err = beginLock(ctx, conn)
	} else {
		err = checkSession(ctx, l.db, conn)
	}
	if err == nil {
		key, err = l.take(ctx, conn, session)
	}

	if err == nil && l.db.Mark != nil && !l.exclusive {
		marked, err = l.db.Mark(ctx, conn)
	}
	if err == nil && again && marked != l.marked {
		err = errors.New("somebody has locked all of it since")
	}
	if err != nil {
		return errors.Join(err, dialect.Drop(conn))
	}

	// From here on transactions prove the lock by this session.
	l.conn, l.marked = conn, marked
	l.key.Store(key)
	l.session.Store(session)
	return nil
}

// take takes the lock on a connection. While others have it, take tries again for a while. It returns the lock's
// key.
func (l *sessionLock) take(ctx context.Context, conn *sqlx.Conn, session int32) (key int32, err error) {
	statement := lockShared
	args := []any{futureSchema(l.db.Settings), classUse, classSession, session, classAllCommit}
	switch {
	case l.pooled:
		statement, args = lockPooled, args[:4]
	case l.exclusive:
		statement, args = lockExclusive, append(args, classUseCommit)
	}

	for deadline := time.Now().Add(lockPatience); ; {
		var got lockAnswer
		if err := conn.GetContext(ctx, &got, statement, args...); err != nil {
			return 0, err
		}

		committing := false
		if got.Answer == lockedByUs && l.pooled {
			var err error
			if committing, err = othersCommit(ctx, l.db, got.Key); err != nil {
				return 0, err
			}
		}

		if got.Answer == lockedByUs && !committing {
			return got.Key, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%w: %s", dialect.ErrLocked, lockHolder(ctx, conn, l.db.Settings))
		}

		select {
		case <-ctx.Done():
		case <-time.After(lockPause):
		}
	}
}

// keep checks the session that holds the lock until the lock is lost or ctx ends.
func (l *sessionLock) keep(ctx context.Context) {
	defer close(l.kept)
	for {
		pause := lockCheck
		if l.conn == nil { // nothing is committed until the lock is taken again
			pause = lockPause
		}

		select {
		case <-ctx.Done():
			return
		case <-l.suspected:
		case <-time.After(pause):
		}

		err := l.renew(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.db.Log.Warn("the lock on the database was lost", "error", err)
			l.End(fmt.Errorf("%w: %w", dialect.ErrLockLost, err))
			return
		}
	}
}

// renew returns an error if the lock is lost. If the session of a shared lock has ended, renew takes the lock again
// as soon as the database is there. The lock is lost if others have locked all meanwhile.
func (l *sessionLock) renew(ctx context.Context) error {
	if l.exclusive {
		return l.alive(ctx)
	}
	looking, stop := context.WithTimeout(ctx, lockSilence)
	failure := l.alive(looking)
	stop()
	if failure == nil {
		return nil
	}

	if l.conn != nil {
		_ = dialect.Drop(l.conn)
		l.conn = nil
	}

	taking, stop := context.WithTimeout(ctx, lockSilence)
	defer stop()
	err := l.lock(taking, true)
	away := taking.Err() != nil || l.db.Classify(err) == dialect.Unavailable || l.db.Classify(err) == dialect.Conflict
	if err == nil || away {
		return nil
	}
	return fmt.Errorf("%w, and it was not taken again: %w", failure, err)
}

// alive returns an error unless the session still holds the lock.
func (l *sessionLock) alive(ctx context.Context) error {
	if l.conn == nil {
		return errLockUnsure
	}
	var held bool
	err := l.conn.GetContext(ctx, &held, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND pid = pg_backend_pid() AND classid = $1 AND objid = $2::int4::oid)`, classSession, l.session.Load())
	if err != nil {
		return fmt.Errorf("%w (%w)", errLockUnsure, err)
	}
	if !held {
		return errLockUnsure
	}
	return nil
}

// Fence implements dialect.Guard.
func (l *sessionLock) Fence() sq.Sqlizer {
	class := classUseCommit
	if l.exclusive {
		class = classAllCommit
	}
	return sq.Expr(`CASE WHEN NOT pg_try_advisory_xact_lock_shared(?, ?) THEN 0
		WHEN pg_try_advisory_xact_lock_shared(?, ?) THEN 0 ELSE 1 END`, class, l.key.Load(), classSession, l.session.Load())
}

// Failed implements dialect.Guard. The transaction may be run again until the loss of the lock is certain.
func (l *sessionLock) Failed() error {
	if err := l.Lost(); err != nil {
		return err
	}
	select {
	case l.suspected <- struct{}{}:
	default:
	}
	return errLockUnsure
}

// Release closes the connection, which frees the lock. It waits for no answer.
func (l *sessionLock) Release() error {
	l.db.RemoveGuard(l)
	l.stop()
	<-l.kept
	l.End(context.Canceled)
	if l.conn == nil {
		return nil
	}
	return dialect.Drop(l.conn)
}

// lockHolder names another session that has the lock, or a transaction that was begun under it.
func lockHolder(ctx context.Context, conn *sqlx.Conn, s dialect.Settings) string {
	var holder string
	err := conn.GetContext(ctx, &holder, `SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND l.granted AND l.classid IN ($2, $3, $4) AND l.objid = `+useKey+`::oid
		AND a.datname = current_database() AND l.pid <> pg_backend_pid() ORDER BY l.classid LIMIT 1`,
		futureSchema(s), classUse, classUseCommit, classAllCommit)
	if errors.Is(err, sql.ErrNoRows) || holder == "" {
		return "an unnamed session"
	}
	return holder
}
