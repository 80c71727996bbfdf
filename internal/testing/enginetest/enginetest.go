// Package enginetest gives tests an empty, migrated database on every engine that the repository runs on.
package enginetest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/migrate"
)

// Engine is one engine under test.
type Engine struct {
	Name string
	// Settings returns the settings of a fresh, empty database, which is removed with the test.
	Settings func(tb testing.TB) dialect.Settings
	// Migrated returns the settings of a fresh database with the present schema.
	Migrated func(tb testing.TB) dialect.Settings

	record func(tb testing.TB, db *dialect.DB, to *Recorder)
}

// Engines returns all engines, the embedded one first.
func Engines() []Engine {
	return []Engine{
		{"sqlite", func(tb testing.TB) dialect.Settings { return file(filepath.Join(tb.TempDir(), "guppy.db")) }, copySQLite,
			recordSQLite},
		{"postgres", func(tb testing.TB) dialect.Settings { return server(pgtest.URL(tb)) }, copyPostgres, recordPostgres},
	}
}

func file(path string) dialect.Settings { return dialect.Settings{URL: dialect.Secret(path)} }

func server(url string) dialect.Settings { return dialect.Settings{URL: dialect.Secret(url)} }

// Open opens a fresh database with the present schema. It is closed when the test ends.
func (e Engine) Open(tb testing.TB) *dialect.DB {
	tb.Helper()
	return open(tb, e.Migrated(tb))
}

// MustOpen migrates and opens the database that the settings name.
func MustOpen(tb testing.TB, settings dialect.Settings) *dialect.DB {
	tb.Helper()
	if err := ensure(settings); err != nil {
		tb.Fatal(err)
	}
	return open(tb, settings)
}

func ensure(settings dialect.Settings) error {
	_, err := migrate.New(settings).Ensure(context.Background(), true)
	return err
}

func open(tb testing.TB, settings dialect.Settings) *dialect.DB {
	tb.Helper()
	db, err := dialect.Open(context.Background(), settings)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// Each runs a test on every engine, with a fresh database.
func Each(t *testing.T, test func(t *testing.T, db *dialect.DB)) {
	for _, engine := range Engines() {
		t.Run(engine.Name, func(t *testing.T) { test(t, engine.Open(t)) })
	}
}

// EachLong is Each for tests of what hardly depends on the engine: without the build tag long they run on the embedded
// one alone. scripts/long-tests finds these tests by this name.
func EachLong(t *testing.T, test func(t *testing.T, db *dialect.DB)) {
	if long {
		Each(t, test)
		return
	}
	embedded := Engines()[0]
	t.Run(embedded.Name, func(t *testing.T) { test(t, embedded.Open(t)) })
}
