package pgtest_test

import (
	"database/sql"
	"errors"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestURLsAreSeparateDatabases(t *testing.T) {
	urls := make([]string, 4)
	var group sync.WaitGroup
	for i := range urls {
		group.Go(func() { urls[i] = pgtest.URL(t) })
	}
	group.Wait()
	for _, u := range urls {
		execute(t, open(t, u), "CREATE TABLE same_name (n BIGINT)")
	}
}

func TestURLIsDroppedThoughInUse(t *testing.T) {
	var u string
	t.Run("user", func(t *testing.T) {
		u = pgtest.URL(t)
		db, err := sql.Open("pgx", u)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, db, "SELECT 1") // It leaves the connection open.
	})

	err := open(t, u).PingContext(t.Context())
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.Code != "3D000" {
		t.Errorf("want an unknown database, have %v", err)
	}
}
