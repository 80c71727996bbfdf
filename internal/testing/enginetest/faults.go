package enginetest

import (
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/chaos"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// Passing returns errors of an engine, by its name, that pass when a transaction is run again, with their classes.
func Passing(tb testing.TB, engine string) map[error]dialect.Class {
	tb.Helper()
	if engine == sqlite.Name {
		return map[error]dialect.Class{busy(tb): dialect.Conflict}
	}
	errs := map[error]dialect.Class{io.ErrUnexpectedEOF: dialect.Unavailable}
	for code, class := range map[string]dialect.Class{
		"40001": dialect.Conflict, "40P01": dialect.Conflict, "57P01": dialect.Unavailable,
		"08006": dialect.Unavailable, "25006": dialect.Unavailable,
	} {
		errs[&pgconn.PgError{Code: code}] = class
	}
	return errs
}

// busy is SQLite's own error for a database that another process writes.
func busy(tb testing.TB) error {
	tb.Helper()
	path := dialect.Secret(filepath.Join(tb.TempDir(), "busy.db"))
	first := MustOpen(tb, dialect.Settings{URL: path})
	hasty := sqlite.Options{BusyTimeout: time.Millisecond}
	second := MustOpen(tb, dialect.Settings{URL: path, Options: []any{hasty}})

	tx, err := first.Begin(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = errors.Join(tx.Rollback(tb.Context()), tx.Release()) }()

	_, err = second.Begin(tb.Context())
	if second.Classify(err) != dialect.Conflict {
		tb.Fatalf("not busy: %v", err)
	}
	return err
}

// OpenThrough opens a new PostgreSQL database through a relay that loses these parts of the next commits. The test
// fails if a loss is left over.
func OpenThrough(tb testing.TB, losses ...chaos.Loss) *dialect.DB {
	tb.Helper()
	url := pgtest.URL(tb)
	MustOpen(tb, dialect.Settings{URL: dialect.Secret(url)})

	var losing sync.Mutex
	relay := chaos.StartRelay(tb, url)
	relay.Lose(func(statements []string) (next chaos.Loss) {
		losing.Lock()
		defer losing.Unlock()
		if len(losses) > 0 && len(statements) > 1 { // a transaction, which has its receipt beside what it does
			next, losses = losses[0], losses[1:]
		}
		return next
	})

	db, err := dialect.Open(tb.Context(), dialect.Settings{URL: dialect.Secret(relay.URL())})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = db.Close()
		losing.Lock()
		defer losing.Unlock()
		if len(losses) > 0 {
			tb.Errorf("%d losses went unused", len(losses))
		}
	})
	return db
}
