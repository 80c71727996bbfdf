package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

const (
	// logStep is how much the log of changes may grow before the next attempt to start it over.
	logStep = 16 << 20
	// logPatience is how long writers wait for readers in an attempt.
	logPatience = 200 * time.Millisecond
)

// logKept is the length of the log of changes when readers last kept it from being emptied, or 0.
type logKept struct{ atomic.Int64 }

// TrimLog starts the log of changes over when it is long. SQLite itself does so only while no process reads, and
// readers that take turns may never leave such a moment. TrimLog waits for current readers, while new readers read
// past the log. A reader that lasts longer than the wait keeps the log. Then the next attempt is made when the log
// has grown further.
func (Engine) TrimLog(ctx context.Context, db *dialect.DB, conn *sqlx.Conn) error {
	kept := db.State.(*logKept) //nolint:forcetypeassert // Connect made it
	file, err := fileOf(db.Settings)
	if err != nil {
		return err
	}

	size, err := fileSize(file + "-wal")
	if err != nil || size < longLog {
		kept.Store(0)
		return err
	}
	if size < kept.Load()+logStep {
		return nil
	}

	hindered, err := checkpoint(ctx, db, conn)
	if hindered {
		kept.Store(size)
	}
	return err
}

// checkpoint reports whether a reader kept the log from being emptied.
func checkpoint(ctx context.Context, db *dialect.DB, conn *sqlx.Conn) (hindered bool, err error) {
	timeout := optionsOf(db.Settings).BusyTimeout
	patience := func(d time.Duration) error {
		_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout(%d)", d.Milliseconds()))
		return err
	}
	if err := patience(min(logPatience, timeout)); err != nil {
		return false, err
	}

	var log, copied int
	err = conn.QueryRowxContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&hindered, &log, &copied)
	if db.Classify(err) == dialect.Conflict {
		hindered, err = true, nil
	}
	return hindered, errors.Join(err, patience(timeout))
}
