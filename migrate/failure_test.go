package migrate

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/guppy-prep/guppy/dialect"
)

// requireFailed checks the report of a migration that failed and left the schema dirty.
func requireFailed(t *testing.T, err error, file string, parts ...string) {
	t.Helper()
	var failed *FailedError
	if !errors.As(err, &failed) {
		t.Fatalf("error %v", err)
	}
	if !strings.HasSuffix(failed.File, "/"+file) || !failed.Dirty {
		t.Errorf("file %s, dirty %t", failed.File, failed.Dirty)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}

func isDriverError(err error) bool {
	var fromSQLite *sqlite.Error
	var fromPostgres *pgconn.PgError
	return errors.As(err, &fromSQLite) || errors.As(err, &fromPostgres)
}

func TestFailedUpReportsAndCanBeMended(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		broken := migrator(settings, with("0002_two.up.sql", "CREATE TABLE two (n BIGINT); INSERT INTO nowhere VALUES (1);"))
		result, err := broken.Up(t.Context())
		requireFailed(t, err, "0002_two.up.sql", "nowhere", "dirty", "guppy migrate force 1; then: guppy migrate up")
		if result.From != 0 || result.To != 1 || len(result.Applied) != 1 {
			t.Errorf("%+v", result)
		}
		if !isDriverError(err) {
			t.Errorf("the database's error is lost: %v", err)
		}
		if hasTable(t, settings, "two") {
			t.Error("half of the file was kept")
		}
		requireVersion(t, broken, 2, true)

		mended := migrator(settings, first(3))
		if _, err := mended.Ensure(t.Context(), true); !errors.Is(err, ErrDirty) {
			t.Errorf("before force: %v", err)
		}
		if _, err := mended.Force(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if result := mustUp(t, mended); result.From != 1 || result.To != 3 {
			t.Errorf("after force: %+v", result)
		}
	})
}

func TestFailedFirstUp(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		_, err := migrator(settings, with("0001_one.up.sql", "NONSENSE;")).Ensure(t.Context(), false)
		requireFailed(t, err, "0001_one.up.sql", "NONSENSE", "guppy migrate force 0;")
		mended := migrator(settings, first(3))
		if _, err := mended.Force(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if result := mustUp(t, mended); result.To != 3 {
			t.Errorf("%+v", result)
		}
	})
}

func TestFailedDown(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := migrator(settings, with("0001_one.down.sql", "DROP TABLE nowhere;"))
		mustUp(t, m)
		result, err := m.Down(t.Context(), 3)
		requireFailed(t, err, "0001_one.down.sql", "nowhere", "guppy migrate force 1; then: guppy migrate down")
		if result.To != 1 || len(result.Applied) != 2 {
			t.Errorf("%+v", result)
		}
		requireVersion(t, m, 0, true)
		_, err = m.Ensure(t.Context(), true)
		requireRefused(t, err, ErrDirty, 0, 3, "guppy migrate force 1 (")
	})
}

func TestFailureOnPostgresNamesTheLine(t *testing.T) {
	broken := with("0002_two.up.sql", "CREATE TABLE two (n BIGINT);\n\nINSERT INTO nowhere VALUES (1);")
	_, err := migrator(postgresSettings(t), broken).Up(t.Context())
	requireFailed(t, err, "0002_two.up.sql", "line 3")
}

func TestBrokenReferencesOnSQLiteFailTheMigration(t *testing.T) {
	settings := sqliteSettings(t)
	pairs := []string{
		"0001_one.up.sql", `CREATE TABLE parent (id INTEGER PRIMARY KEY);
			CREATE TABLE child (parent INTEGER REFERENCES parent (id) ON DELETE CASCADE);
			INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1);`,
		// Rebuilding a table must not delete what refers to it.
		"0002_two.up.sql", `CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT);
			INSERT INTO new (id) SELECT id FROM parent; DROP TABLE parent; ALTER TABLE new RENAME TO parent;`,
		"0003_three.up.sql", "DELETE FROM parent;",
	}
	result, err := migrator(settings, with(pairs...)).Up(t.Context())
	requireFailed(t, err, "0003_three.up.sql", `"child"`)
	if result.To != 2 {
		t.Errorf("%+v", result)
	}
	var children int
	const query = "SELECT COUNT(*) FROM child JOIN parent ON id = parent"
	if err := openDB(t, settings).Reader.GetContext(t.Context(), &children, query); err != nil {
		t.Fatal(err)
	}
	if children != 1 {
		t.Errorf("%d children are left", children)
	}
}

func TestLockedDatabaseIsNotTakenForAnEmptyOne(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		settings := sqliteSettings(t)
		mustUp(t, migrator(settings, first(3)))
		db := openDB(t, settings)
		if err := db.Reader.Close(); err != nil { // A reader would keep the lock from being exclusive.
			t.Fatal(err)
		}
		for _, statement := range []string{"PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"} {
			if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		settings.BusyTimeout = 50 * time.Millisecond
		requireUnreadable(t.Context(), t, migrator(settings, first(3), WithLockTimeout(100*time.Millisecond)))
	})
	t.Run("postgres", func(t *testing.T) {
		settings := postgresSettings(t)
		mustUp(t, migrator(settings, first(3)))
		execute(t, settings, "ALTER TABLE schema_migrations RENAME version TO v")
		requireUnreadable(t.Context(), t, migrator(settings, first(3)))
	})
	t.Run("postgres, locked table", func(t *testing.T) {
		settings := postgresSettings(t)
		mustUp(t, migrator(settings, first(3)))
		db := openDB(t, settings)
		tx, err := db.Writer.BeginTxx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(t.Context(), "LOCK TABLE schema_migrations"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		requireUnreadable(ctx, t, migrator(settings, first(3)))
	})
}

func requireUnreadable(ctx context.Context, t *testing.T, m *Migrator) {
	t.Helper()
	if status, err := m.Status(ctx); err == nil {
		t.Errorf("status %+v", status)
	}
	for name, call := range changes(m) {
		if result, err := call(ctx); err == nil || errors.Is(err, ErrOlder) || errors.Is(err, ErrNewer) {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

func TestSQLiteFileThatIsNoDatabase(t *testing.T) {
	settings := sqliteSettings(t)
	text := []byte(strings.Repeat("this is no database\n", 100))
	if err := os.WriteFile(settings.URL.Reveal(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	requireUnreadable(t.Context(), t, migrator(settings, first(3)))
	if after, err := os.ReadFile(settings.URL.Reveal()); err != nil || string(after) != string(text) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// A role that may not create the version table makes golang-migrate's driver give up and leak its connection.
func TestLockIsFreedWhenTheDriverFails(t *testing.T) {
	settings := postgresSettings(t)
	u, err := url.Parse(settings.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	role := path.Base(u.Path) + "_reader" // Roles are the whole server's.
	execute(t, settings, "CREATE ROLE "+role+" LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	defer execute(t, settings, "DROP ROLE "+role)
	u.User = url.User(role)
	weak := dialect.Settings{URL: dialect.Secret(u.String())}
	_, err = migrator(weak, first(3)).Up(t.Context())
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.Code != "42501" {
		t.Errorf("error %v", err)
	}
	if result := mustUp(t, migrator(settings, first(3), WithLockTimeout(5*time.Second))); result.To != 3 {
		t.Errorf("%+v", result)
	}
}
