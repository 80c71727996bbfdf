package dialect_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func TestClassifyConstraints(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db,
			"CREATE TABLE parents (id BIGINT PRIMARY KEY, name TEXT UNIQUE, n BIGINT NOT NULL CHECK (n > 0))",
			"CREATE TABLE children (parent BIGINT REFERENCES parents (id))",
			"CREATE TABLE keyed (id TEXT PRIMARY KEY)", "INSERT INTO keyed VALUES ('a')",
			"INSERT INTO parents VALUES (1, 'a', 1)", "INSERT INTO children VALUES (1)")
		for statement, want := range map[string]dialect.Class{
			"INSERT INTO parents VALUES (1, 'b', 1)":    dialect.Exists,
			"INSERT INTO parents VALUES (2, 'a', 1)":    dialect.Exists,
			"INSERT INTO keyed VALUES ('a')":            dialect.Exists,
			"INSERT INTO children VALUES (2)":           dialect.MissingReference,
			"DELETE FROM parents":                       dialect.MissingReference,
			"INSERT INTO parents VALUES (2, 'b', 0)":    dialect.Other,
			"INSERT INTO parents VALUES (2, 'b', NULL)": dialect.Other,
			"INSERT INTO nowhere VALUES (1)":            dialect.Other,
			"nonsense":                                  dialect.Other,
		} {
			_, err := db.Writer.ExecContext(t.Context(), statement)
			if err == nil {
				t.Errorf("%s succeeded", statement)
			}

			dialecttest.RequireClass(t, db, err, want)
		}
	})
}

func TestClassifyWhatNoDatabaseSaid(t *testing.T) {
	for _, d := range []dialect.Dialect{sqlite.Engine{}, postgres.Engine{}} {
		for _, err := range []error{nil, sql.ErrNoRows, errors.New("database is locked"), context.Canceled} {
			dialecttest.RequireClass(t, d, err, dialect.Other)
		}
	}
}

func TestClassifyCancelled(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := db.Writer.ExecContext(ctx, "SELECT 1")
		dialecttest.RequireClass(t, db, err, dialect.Other)
		if _, err := db.Begin(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("begin: %v", err)
		}
	})
}
