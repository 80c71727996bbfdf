package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/jmoiron/sqlx"
)

// lockClass sets this program's advisory locks apart from others in the same database; it spells "gupp".
const lockClass = 0x67757070

// allUse is held shared by all who use the tables of a schema, and exclusively by whoever needs that there is nobody. Its
// key is that of the schema, or futureSchema.
const allUse = "COALESCE(" + currentSchema + "::int4, $2)"

// futureSchema stands for the key of a schema that is yet to be made.
func futureSchema(s Settings) int32 { return int32(crc32.ChecksumIEEE([]byte(s.Server.Schema))) }

// A server notices only a moment after a process has died that its connection, and so its lock, is gone. A lock whose
// connection broke is taken again on another one.
const (
	lockPatience = time.Second
	lockPause    = 50 * time.Millisecond
	lockCheck    = 2 * time.Second
)

// postgresLock is an advisory lock on a connection of its own: the server frees it when that connection, and so the
// process, is gone.
type postgresLock struct {
	db        *DB
	statement string
	conn      *sqlx.Conn
	stop      context.CancelFunc
	kept      chan struct{}
}

const (
	lockShared    = "SELECT pg_try_advisory_lock_shared($1, " + allUse + ")"
	lockExclusive = "SELECT pg_try_advisory_lock($1, " + allUse + ")"
)

func postgresLockUse(ctx context.Context, db *DB) (Lock, error) {
	return lockPostgres(ctx, db, lockShared)
}

func postgresLockAll(ctx context.Context, db *DB) (Lock, error) {
	return lockPostgres(ctx, db, lockExclusive)
}

// noLock stands for one that can't be had: a pooler gives the connection of a session to others after each transaction.
type noLock struct{}

func (noLock) Release() error { return nil }

func lockPostgres(ctx context.Context, db *DB, statement string) (Lock, error) {
	if db.Settings.TransactionPooler {
		return noLock{}, ctx.Err()
	}
	l := &postgresLock{db: db, statement: statement, kept: make(chan struct{})}
	if err := l.lock(ctx, time.Now().Add(lockPatience)); err != nil {
		return nil, err
	}
	keeping, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.keep(keeping)
	return l, nil
}

// lock takes the lock on a new connection, and tries for a while when others have it.
func (l *postgresLock) lock(ctx context.Context, deadline time.Time) error {
	conn, err := l.db.Writer.Connx(ctx)
	if err != nil {
		return err
	}
	if err := checkSession(ctx, l.db, conn); err != nil {
		return errors.Join(err, drop(conn))
	}
	for {
		var locked bool
		err := conn.GetContext(ctx, &locked, l.statement, int32(lockClass), futureSchema(l.db.Settings))
		if err == nil && locked {
			l.conn = conn
			return nil
		}
		if err == nil && time.Now().After(deadline) {
			err = fmt.Errorf("%w: %s", ErrLocked, postgresLockHolder(ctx, conn, l.db.Settings))
		}
		if err != nil {
			return errors.Join(err, drop(conn))
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockPause):
		}
	}
}

// keep takes the lock again when its connection is gone.
func (l *postgresLock) keep(ctx context.Context) {
	defer close(l.kept)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lockCheck):
		}
		if l.conn != nil && l.conn.PingContext(ctx) == nil || ctx.Err() != nil {
			continue
		}
		if l.conn != nil {
			_ = drop(l.conn)
			l.conn = nil
		}
		if err := l.lock(ctx, time.Now()); err != nil && ctx.Err() == nil {
			l.db.Log.Debug("the lock was lost and can't be taken again yet", "error", err)
		}
	}
}

// Release ends the connection, and the lock goes with it. That waits for no answer.
func (l *postgresLock) Release() error {
	l.stop()
	<-l.kept
	if l.conn == nil {
		return nil
	}
	return drop(l.conn)
}

func drop(conn *sqlx.Conn) error {
	discard(conn)
	return closeConn(conn)
}

func postgresLockHolder(ctx context.Context, conn *sqlx.Conn, s Settings) string {
	var holder string
	err := conn.GetContext(ctx, &holder, `SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1 AND l.objid = `+allUse+`::oid
		AND a.datname = current_database() LIMIT 1`, lockClass, futureSchema(s))
	if errors.Is(err, sql.ErrNoRows) || holder == "" {
		return "an unnamed session"
	}
	return holder
}
