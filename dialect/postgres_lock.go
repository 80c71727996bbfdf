package dialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

// lockClass sets this program's advisory locks apart from others in the same database; it spells "gupp".
const lockClass = 0x67757070

type postgresLock struct{ conn *sqlx.Conn }

// A server notices only a moment after a process has died that its connection, and so its lock, is gone.
const (
	lockPatience = time.Second
	lockPause    = 50 * time.Millisecond
)

// postgresLockRun takes an advisory lock on a connection of its own: the server frees it when that connection, and so
// the process, is gone.
func postgresLockRun(ctx context.Context, db *DB, source int64) (Lock, error) {
	conn, err := db.Writer.Connx(ctx)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockPatience); ; {
		var locked bool
		err := conn.GetContext(ctx, &locked, "SELECT pg_try_advisory_lock($1, $2)", lockClass, int32(source))
		if err == nil && locked {
			return &postgresLock{conn}, nil
		}
		if err == nil && time.Now().After(deadline) {
			err = fmt.Errorf("%w: %s", ErrLocked, postgresLockHolder(ctx, conn, source))
		}
		if err != nil {
			return nil, errors.Join(err, closeConn(conn))
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockPause):
		}
	}
}

func postgresLockHolder(ctx context.Context, conn *sqlx.Conn, source int64) string {
	var holder string
	err := conn.GetContext(ctx, &holder, `SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1 AND l.objid = $2 AND a.datname = current_database()
		LIMIT 1`,
		lockClass, source)
	if errors.Is(err, sql.ErrNoRows) || holder == "" {
		return "an unnamed session"
	}
	return holder
}

// Release unlocks and gives the connection back. One that can't be asked is thrown away, and the lock goes with it.
func (l *postgresLock) Release() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := l.conn.ExecContext(ctx, "SELECT pg_advisory_unlock_all()")
	if err != nil {
		_ = l.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return closeConn(l.conn)
}
