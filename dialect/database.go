package dialect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/jmoiron/sqlx"
)

// DB is an open database. Close it when done.
type DB struct {
	Dialect
	// Writer runs what changes rows, Reader what only reads; on some engines they are the same pool.
	Writer, Reader *sqlx.DB
	// Settings are those that it was opened with.
	Settings Settings
	Log      *slog.Logger
	// Mark, if not nil, tells whether a lock of LockUse that is taken again is as good as before. It is set before any is
	// taken.
	Mark Mark
	// instance tells what this handle notifies others of from what it hears of them.
	instance string
	// logKept is how long the log of changes was when readers last kept it from being emptied, 0 when none did.
	logKept *atomic.Int64
	guards  *guards
}

// Open opens the database that the settings name and proves that it answers. A database file that is absent is made.
// It returns ErrSettings when they name none, and ErrSchema when Server.Schema can't be used.
func Open(ctx context.Context, s Settings) (*DB, error) {
	d, err := s.Dialect()
	if err != nil {
		return nil, err
	}
	s = s.withDefaults()
	writer, reader, err := d.handles.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.describe(s), err)
	}
	return &DB{Dialect: d, Writer: writer, Reader: reader, Settings: s, Log: s.Log, instance: rand.Text(),
		logKept: &atomic.Int64{}, guards: &guards{}}, nil
}

// Warm opens connections that are about to be needed, several at once. It returns when they are there, or when that
// failed: whoever needs them tries again.
func (db *DB) Warm(ctx context.Context, n int) {
	if db.Reader != db.Writer {
		return // a file is open in no time
	}
	var opening sync.WaitGroup
	var conns [16]*sqlx.Conn
	for i := range min(n, len(conns), db.Settings.MaxOpenConns-1) {
		opening.Go(func() {
			if conn, err := db.Reader.Connx(ctx); err == nil {
				conns[i] = conn
			}
		})
	}
	opening.Wait()
	for _, conn := range conns {
		if conn != nil {
			_ = closeConn(conn)
		}
	}
}

// Close closes all connections.
func (db *DB) Close() error {
	if db.Reader == db.Writer {
		return db.Writer.Close()
	}
	return errors.Join(db.Reader.Close(), db.Writer.Close())
}

// Describe says which database this is, without secrets.
func (db *DB) Describe() string { return db.describe(db.Settings) }

// Location says where the database is: its file, or its name and server, without secrets.
func (db *DB) Location() string {
	name, err := db.handles.name(db.Settings)
	if err != nil {
		return ""
	}
	return name
}

func (d Dialect) describe(s Settings) string {
	name, err := d.handles.name(s)
	if err != nil {
		return d.Title
	}
	return d.Title + " database " + name
}
