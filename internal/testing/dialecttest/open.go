// Package dialecttest has helpers that the tests of engines share, for one engine and for all of them.
package dialecttest

import (
	"context"
	"errors"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// Open opens a database that is closed when the test ends.
func Open(t *testing.T, settings dialect.Settings) *dialect.DB {
	t.Helper()
	db, err := dialect.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Each runs a test on every engine, with the settings of a fresh database.
func Each(t *testing.T, test func(t *testing.T, settings dialect.Settings)) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) { test(t, engine.Settings(t)) })
	}
}

// Execute runs statements one by one.
func Execute(t *testing.T, db *dialect.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// InTx runs fn in a transaction and commits it.
func InTx(ctx context.Context, db *dialect.DB, fn func(*dialect.Tx) error) (err error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Release()) }()
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback(ctx))
	}
	return tx.Commit(ctx)
}

// Get returns the one value that a query reads.
func Get[T any](t *testing.T, db *dialect.DB, query string) (value T) {
	t.Helper()
	if err := db.Writer.GetContext(t.Context(), &value, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// RequireClass fails the test unless an error has the given class.
func RequireClass(t *testing.T, db dialect.Dialect, err error, want dialect.Class) {
	t.Helper()
	if err == nil && want != dialect.Other {
		t.Error("no error")
	}
	if class := db.Classify(err); class != want {
		t.Errorf("class %d, want %d: %v", class, want, err)
	}
}

// OpenPostgres opens a fresh database with a table of two rows.
func OpenPostgres(t *testing.T) *dialect.DB {
	t.Helper()
	db := Open(t, dialect.Settings{URL: dialect.Secret(pgtest.URL(t))})
	Execute(t, db, "CREATE TABLE a (id BIGINT PRIMARY KEY, n BIGINT)", "INSERT INTO a VALUES (1, 0), (2, 0)")
	return db
}
