package migrate

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/guppy-prep/guppy/dialect"
	own "github.com/guppy-prep/guppy/dialect/sqlite"
)

// requireFailed checks the report of a migration that failed and changed nothing.
func requireFailed(t *testing.T, err error, file string, version uint, parts ...string) {
	t.Helper()
	var failed *FailedError
	if !errors.As(err, &failed) {
		t.Fatalf("error %v", err)
	}
	if !strings.HasSuffix(failed.File, "/"+file) || failed.Version != version || failed.Unsure {
		t.Errorf("%+v, want %s and version %d", failed, file, version)
	}
	for _, part := range append(parts, fmt.Sprintf("changed nothing: the schema is still at version %d;", version)) {
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

const breaks = "CREATE TABLE two (n BIGINT);\n DROP TABLE one;\n-- Broken;\nINSERT INTO\n nowhere VALUES (1);"

func TestFailedUpChangesNothing(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, first(1)))
		before := readSchema(t, settings)
		broken := migrator(settings, with("0003_three.up.sql", breaks))
		result, err := broken.Up(t.Context())
		requireFailed(t, err, "0003_three.up.sql", 2, `failed at "CREATE TABLE two (n BIGINT)"`,
			"; once the cause is mended, run: guppy migrate up")
		if result.From != 1 || result.To != 2 || len(result.Applied) != 1 {
			t.Errorf("%+v", result)
		}
		if !isDriverError(err) {
			t.Errorf("the database's error is lost: %v", err)
		}
		requireVersion(t, broken, 2, false)
		if _, err := broken.Down(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		requireEqual(t, readSchema(t, settings), before)
		if result := mustUp(t, migrator(settings, first(3))); result.From != 1 || result.To != 3 {
			t.Errorf("once it is mended: %+v", result)
		}
	})
}

func TestFailureLeavesEmptyDatabaseEmpty(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		for _, file := range []string{"0001_one.up.sql", "0003_three.up.sql"} {
			broken := migrator(settings, with(file, "INSERT INTO nowhere VALUES (1);"))
			result, err := broken.Ensure(t.Context(), false)
			requireFailed(t, err, file, 0, "nowhere", "; once the cause is mended, run: guppy migrate up")
			if result.To != 0 || len(result.Applied) != 0 {
				t.Errorf("%+v", result)
			}
			if status := mustStatus(t, broken); !status.Empty || status.Dirty {
				t.Errorf("status %+v", status)
			}
			if left := readSchema(t, settings); len(left) != 0 {
				t.Errorf("%v is left", left)
			}
		}
		if result, err := migrator(settings, first(3)).Ensure(t.Context(), false); err != nil || result.To != 3 {
			t.Errorf("once it is mended: %+v, %v", result, err)
		}
	})
}

func TestFailedDownChangesNothing(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := migrator(settings, with("0002_two.down.sql", "DROP TABLE two; DROP TABLE nowhere;"))
		mustUp(t, m)
		result, err := m.Down(t.Context(), 3)
		requireFailed(t, err, "0002_two.down.sql", 2, "nowhere",
			"; once the cause is mended, run: guppy migrate down --to 0 --destroy-data")
		if result.To != 2 || len(result.Applied) != 1 {
			t.Errorf("%+v", result)
		}
		requireVersion(t, m, 2, false)
		if !hasTable(t, settings, "two") {
			t.Error("half of the file was kept")
		}
	})
}

// TestNoNewFileEndsItsTransaction lets the files of the newest version fail. A file that ended the transaction would
// keep what comes before its end.
func TestNoNewFileEndsItsTransaction(t *testing.T) { failEmbedded(t, 1) }

// failEmbedded lets the files of some versions fail, the newest ones.
func failEmbedded(t *testing.T, newest int) {
	t.Helper()
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := New(settings)
		all, err := m.load()
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range all {
			if i < len(all)-newest {
				mustUp(t, migrator(settings, firstEmbedded(t, i+1)))
				continue
			}

			requireUndone(t, settings, f.up, all.before(i), func(m *Migrator) error {
				_, err := m.Up(t.Context())
				return err
			})
			mustUp(t, migrator(settings, firstEmbedded(t, i+1)))
			requireUndone(t, settings, f.down, f.Version, func(m *Migrator) error {
				_, err := m.Down(t.Context(), 1)
				return err
			})
		}
	})
}

// requireUndone lets an embedded file fail at its very end.
func requireUndone(t *testing.T, settings dialect.Settings, name string, version uint, call func(*Migrator) error) {
	t.Helper()
	broken := embeddedFiles(t)
	for _, engine := range dialect.Names() {
		file := broken[engine+"/"+name]
		broken[engine+"/"+name] = &fstest.MapFile{Data: append(file.Data, "\nINSERT INTO nowhere VALUES (1);"...)}
	}
	before := readSchema(t, settings)
	requireFailed(t, call(migrator(settings, broken)), name, version, "nowhere")
	requireEqual(t, readSchema(t, settings), before)
	requireVersion(t, New(settings), version, false)
}

func TestFailureOnPostgresNamesTheLine(t *testing.T) {
	broken := with("0002_two.up.sql", "CREATE TABLE two (n BIGINT);\n\nINSERT INTO nowhere VALUES (1);")
	_, err := migrator(postgresSettings(t), broken).Up(t.Context())
	requireFailed(t, err, "0002_two.up.sql", 0, "0002_two.up.sql, line 3 failed")
}

func TestLineAt(t *testing.T) {
	const script = "é;\n\nSELECT 1;\n"
	for position, want := range map[int]uint{-1: 0, 0: 0, 1: 1, 2: 1, 3: 1, 4: 2, 5: 3, 14: 3, 15: 0} {
		if got := lineAt(script, position); got != want {
			t.Errorf("position %d is in line %d, want %d", position, got, want)
		}
	}
}

// The server breaks the connection while it commits, so that nobody can tell what has become of the migration.
func TestLostAnswerToCommitOnPostgres(t *testing.T) {
	settings := postgresSettings(t)
	mustUp(t, migrator(settings, first(1)))
	lost := migrator(settings, with("0002_two.up.sql", `
		CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON one DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION leave();
		INSERT INTO one VALUES (1);`))
	result, err := lost.Up(t.Context())
	var failed *FailedError
	if !errors.As(err, &failed) || !failed.Unsure || failed.Version != 1 || result.To != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, part := range []string{"still at version 1, or migrated", "guppy migrate status", "guppy migrate up"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
	if result := mustUp(t, migrator(settings, first(3))); result.From != 1 || result.To != 3 {
		t.Errorf("once the server is back: %+v", result)
	}
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
	mustUp(t, migrator(settings, files(append(pairs[:2:2], three[2:4]...)...)))
	result, err := migrator(settings, with(pairs...)).Up(t.Context())
	requireFailed(t, err, "0003_three.up.sql", 2, `"child"`)
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
		settings.Options = []any{own.Options{BusyTimeout: 50 * time.Millisecond}}
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

// A role that may not create the version table gives up while it holds the lock.
func TestLockIsFreedAfterAFailure(t *testing.T) {
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
