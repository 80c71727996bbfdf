package sqlite_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

// requirePragmas holds as many connections of a pool as possible and reads the pragmas of each.
func requirePragmas(t *testing.T, pool *sqlx.DB, want map[string]string) {
	t.Helper()
	for range pool.Stats().MaxOpenConnections {
		conn, err := pool.Connx(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		t.Cleanup(func() { _ = conn.Close() })
		for pragma, value := range want {
			var got string
			if err := conn.GetContext(t.Context(), &got, "PRAGMA "+pragma); err != nil || got != value {
				t.Errorf("%s is %q, want %q; %v", pragma, got, value, err)
			}
		}
	}
}

func TestSQLitePragmas(t *testing.T) {
	for timeout, read := range map[time.Duration]string{0: "30000", 1234 * time.Millisecond: "1234"} {
		db := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(filepath.Join(t.TempDir(), "x.db")),
			Options: []any{sqlite.Options{BusyTimeout: timeout}}})
		if n := db.Writer.Stats().MaxOpenConnections; n != 1 {
			t.Errorf("%d writers", n)
		}
		if n := db.Reader.Stats().MaxOpenConnections; n < 2 {
			t.Errorf("%d readers", n)
		}

		pragmas := map[string]string{
			"journal_mode": "wal", "busy_timeout": read, "foreign_keys": "1", "synchronous": "2", "query_only": "0",
		}
		requirePragmas(t, db.Writer, pragmas)
		pragmas["query_only"] = "1"
		requirePragmas(t, db.Reader, pragmas)
	}
}

// TestSQLiteTransactionsLockAtOnce: one that read first and wrote later would fail at once, whatever the timeout.
func TestSQLiteTransactionsLockAtOnce(t *testing.T) {
	settings, _ := sqliteSettings(t)
	first, second := dialecttest.Open(t, settings), dialecttest.Open(t, settings)
	tx, err := first.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	if _, err := second.Begin(t.Context()); second.Classify(err) != dialect.Conflict {
		t.Errorf("a second writer began: %v", err)
	}
	if n := second.Writer.Stats().InUse; n != 0 {
		t.Errorf("the failed one holds %d connections", n)
	}

	var n int
	if err := second.Reader.GetContext(t.Context(), &n, "SELECT COUNT(*) FROM sqlite_schema"); err != nil {
		t.Errorf("a reader waits for the writer: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if err := tx.Release(); err != nil {
		t.Error(err)
	}
}

var nastyFiles = []string{"a b.db", "q?x=1.db", "ha#sh.db", "per%20cent.db", "100%.db", "日本.db", "a&b=c.db",
	"semi;colon.db", "quote'\".db", "back\\slash.db", "plus+.db", "colon:at@.db", "\xff.db", ":memory:", "new\nline.db"}

func TestSQLitePaths(t *testing.T) {
	for _, name := range nastyFiles {
		dir := filepath.Join(t.TempDir(), "d?r#%41 é")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}

		file := filepath.Join(dir, name)
		asURL := &url.URL{Scheme: "file", Path: file}
		for _, spelled := range []string{file, "sqlite://" + asURL.EscapedPath(), asURL.String()} {
			db := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(spelled)})
			dialecttest.Execute(t, db, "CREATE TABLE IF NOT EXISTS same (n BIGINT)", "INSERT INTO same VALUES (1)")
		}

		db := dialecttest.Open(t, dialect.Settings{Type: "sqlite", URL: dialect.Secret(file)})
		if n := dialecttest.Get[int](t, db, "SELECT COUNT(*) FROM same"); n != 3 {
			t.Errorf("%q: %d of 3 rows", name, n)
		}
		requireFiles(t, dir, name, name+"-shm", name+"-wal")
	}
}

func requireFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range found {
		names = append(names, file.Name())
	}
	if slices.Sort(want); !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
}

func TestSQLiteRelativePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	db := dialecttest.Open(t, dialect.Settings{URL: "guppy.db"})
	t.Chdir(t.TempDir())
	dialecttest.Execute(t, db, "CREATE TABLE a (n BIGINT)")
	requireFiles(t, dir, "guppy.db", "guppy.db-shm", "guppy.db-wal")
}

func TestCopyAsideNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a'b.db")
	db := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(file)})
	dialecttest.Execute(t, db, "CREATE TABLE a (n BIGINT)")
	if err := os.WriteFile(file+".bak", []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", file+".bak.2"); err != nil {
		t.Fatal(err)
	}

	for n, suffix := range []string{".bak.1", ".bak.3", ".bak.4"} {
		dialecttest.Execute(t, db, "INSERT INTO a VALUES (1)")
		copied, err := db.CopyAside(t.Context(), ".bak", nil)
		if err != nil || copied != file+suffix {
			t.Fatalf("copied to %q, %v", copied, err)
		}

		opened := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(copied)})
		if rows := dialecttest.Get[int](t, opened, "SELECT COUNT(*) FROM a"); rows != n+1 {
			t.Errorf("%s has %d rows, want %d", copied, rows, n+1)
		}
	}
	if kept, err := os.ReadFile(file + ".bak"); err != nil || string(kept) != "precious" {
		t.Errorf("the earlier file holds %q, %v", kept, err)
	}
}

func TestCopyAsideSeesUncommittedNothing(t *testing.T) {
	db := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(filepath.Join(t.TempDir(), "x.db"))})
	dialecttest.Execute(t, db, "CREATE TABLE a (n BIGINT)")
	for n := range 3 {
		dialecttest.Execute(t, db, fmt.Sprintf("INSERT INTO a VALUES (%d)", n))
	}

	copied, err := db.CopyAside(t.Context(), ".copy", nil)
	if err != nil {
		t.Fatal(err)
	}

	dialecttest.Execute(t, db, "DELETE FROM a")
	opened := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(copied)})
	if n := dialecttest.Get[int](t, opened, "SELECT COUNT(*) FROM a"); n != 3 {
		t.Errorf("the copy follows the original: %d rows", n)
	}
}
