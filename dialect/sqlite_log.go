package dialect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
)

const (
	// logStep is how much the log of changes may grow before it is tried again to begin it anew.
	logStep = 16 << 20
	// logPatience is how long writers wait for readers then.
	logPatience = 200 * time.Millisecond
)

// sqliteTrimLog begins the log of changes anew when it is long. SQLite itself does so only at a moment when nobody
// reads, and with readers that take turns there may be none. Here those that read are waited for, while new ones read
// past the log. One that keeps reading longer than anybody waits keeps the log, too: then it is tried again when that
// has grown further.
func sqliteTrimLog(ctx context.Context, db *DB, conn *sqlx.Conn) error {
	file, err := sqliteFile(db.Settings)
	if err != nil {
		return err
	}
	size, err := fileSize(file + "-wal")
	if err != nil || size < longLog {
		db.logKept.Store(0)
		return err
	}
	if size < db.logKept.Load()+logStep {
		return nil
	}
	kept, err := sqliteCheckpoint(ctx, db, conn)
	if kept {
		db.logKept.Store(size)
	}
	return err
}

// sqliteCheckpoint tells whether somebody kept the log from being emptied.
func sqliteCheckpoint(ctx context.Context, db *DB, conn *sqlx.Conn) (kept bool, err error) {
	patience := func(d time.Duration) error {
		_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout(%d)", d.Milliseconds()))
		return err
	}
	if err := patience(min(logPatience, db.Settings.BusyTimeout)); err != nil {
		return false, err
	}
	var log, copied int
	err = conn.QueryRowxContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&kept, &log, &copied)
	if db.Classify(err) == Conflict {
		kept, err = true, nil
	}
	return kept, errors.Join(err, patience(db.Settings.BusyTimeout))
}
