package dialect_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(envUse); url != "" {
		useUntilClosed(url, func(ctx context.Context, db *dialect.DB) error {
			_, err := db.LockUse(ctx, db)
			return err
		})
	}
	if url := os.Getenv(envWrite); url != "" {
		useUntilClosed(url, func(ctx context.Context, db *dialect.DB) error {
			_, err := db.Begin(ctx)
			return err
		})
	}
	pgtest.Main(m)
}

// open opens a database that is closed when the test ends.
func open(t *testing.T, settings dialect.Settings) *dialect.DB {
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

// each runs a test on every engine, with the settings of a fresh database.
func each(t *testing.T, test func(t *testing.T, settings dialect.Settings)) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) { test(t, engine.Settings(t)) })
	}
}

func execute(t *testing.T, db *dialect.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// inTx runs fn in a transaction and commits it.
func inTx(ctx context.Context, db *dialect.DB, fn func(*dialect.Tx) error) (err error) {
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

func get[T any](t *testing.T, db *dialect.DB, query string) (value T) {
	t.Helper()
	if err := db.Writer.GetContext(t.Context(), &value, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}
