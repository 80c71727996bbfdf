package dialect_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func requireClass(t *testing.T, db dialect.Dialect, err error, want dialect.Class) {
	t.Helper()
	if err == nil && want != dialect.Other {
		t.Error("no error")
	}
	if class := db.Classify(err); class != want {
		t.Errorf("class %d, want %d: %v", class, want, err)
	}
}

func TestClassifyConstraints(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		execute(t, db, "CREATE TABLE parents (id BIGINT PRIMARY KEY, name TEXT UNIQUE, n BIGINT NOT NULL CHECK (n > 0))",
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
			requireClass(t, db.Dialect, err, want)
		}
	})
}

func TestClassifyWhatNoDatabaseSaid(t *testing.T) {
	for _, d := range []dialect.Dialect{dialect.SQLite(), dialect.Postgres()} {
		for _, err := range []error{nil, sql.ErrNoRows, errors.New("database is locked"), context.Canceled} {
			requireClass(t, d, err, dialect.Other)
		}
	}
}

func TestClassifyCancelled(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := db.Writer.ExecContext(ctx, "SELECT 1")
		requireClass(t, db.Dialect, err, dialect.Other)
		if _, err := db.Begin(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("begin: %v", err)
		}
	})
}
