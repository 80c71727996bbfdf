package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func sqliteAt(file string) dialect.Settings {
	return dialect.Settings{Type: "sqlite", URL: dialect.Secret(file)}
}

// archive makes a file with a row, and a name that needs escapes.
func archive(t *testing.T) (dir, file string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "d?r#%41")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}

	file = filepath.Join(dir, "kept?.db")
	db := dialecttest.Open(t, sqliteAt(filepath.Join(t.TempDir(), "x.db")))
	dialecttest.Execute(t, db, "CREATE TABLE kept (n INTEGER, wide BLOB)", "INSERT INTO kept VALUES (1, zeroblob(100000))")
	copyPages(t, db, file, func() {})
	if err := sqlite.FinishFile(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// copyPages copies in a transaction that has read before meanwhile is called.
func copyPages(t *testing.T, db *dialect.DB, file string, meanwhile func()) {
	t.Helper()
	conn, err := db.Reader.Connx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()

	tx, err := conn.BeginTxx(t.Context(), &db.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()

	var rows int
	if err := tx.GetContext(t.Context(), &rows, "SELECT COUNT(*) FROM kept"); err != nil {
		t.Fatal(err)
	}
	meanwhile()
	if err := db.CopyPages(t.Context(), conn, file, nil); err != nil {
		t.Fatal(err)
	}
}

// TestSQLitePagesAreOfOneMoment: the writer does not wait for the copy, and its changes are not in the copy.
func TestSQLitePagesAreOfOneMoment(t *testing.T) {
	db := dialecttest.Open(t, sqliteAt(filepath.Join(t.TempDir(), "x.db")))
	dialecttest.Execute(t, db, "CREATE TABLE kept (n INTEGER)", "INSERT INTO kept VALUES (1)")
	file := filepath.Join(t.TempDir(), "kept.db")
	copyPages(t, db, file, func() { dialecttest.Execute(t, db, "INSERT INTO kept VALUES (2)") })
	if n := dialecttest.Get[int](t, dialecttest.Open(t, sqliteAt(file)), "SELECT COUNT(*) FROM kept"); n != 1 {
		t.Errorf("%d rows in the copy", n)
	}
	if n := dialecttest.Get[int](t, db, "SELECT COUNT(*) FROM kept"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func TestSQLiteCopyObeysTheContext(t *testing.T) {
	db := dialecttest.Open(t, sqliteAt(filepath.Join(t.TempDir(), "x.db")))
	conn, err := db.Reader.Connx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.CopyPages(ctx, conn, filepath.Join(t.TempDir(), "kept.db"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestAFinishedFileIsAlone(t *testing.T) {
	dir, file := archive(t)
	requireFiles(t, dir, filepath.Base(file))
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v; %v", info, err)
	}

	settings := sqliteAt(file)
	settings.Options = []any{sqlite.Options{ReadOnly: true}}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	db := dialecttest.Open(t, settings)
	if n := dialecttest.Get[int](t, db, "SELECT COUNT(*) FROM kept"); n != 1 {
		t.Errorf("%d rows", n)
	}
	if _, err := db.Writer.ExecContext(t.Context(), "DELETE FROM kept"); err == nil {
		t.Error("it was changed")
	}

	for _, take := range []func(context.Context) (dialect.Lock, error){db.LockUse, db.LockAll} {
		lock, err := take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	}

	requireFiles(t, dir, filepath.Base(file))
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, before) {
		t.Errorf("it is another file; %v", err)
	}
}

func TestSQLiteReadOnlyRefuses(t *testing.T) {
	used := filepath.Join(t.TempDir(), "used.db")
	dialecttest.Execute(t, dialecttest.Open(t, sqliteAt(used)), "CREATE TABLE kept (n INTEGER)")
	for file, want := range map[string]error{used: nil, filepath.Join(t.TempDir(), "none.db"): fs.ErrNotExist} {
		settings := sqliteAt(file)
		settings.Options = []any{sqlite.Options{ReadOnly: true}}

		db, err := dialect.Open(t.Context(), settings)
		if err == nil {
			_ = db.Close()
		}
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", filepath.Base(file), err, want)
		}
	}
}

func TestADamagedFileIsNotFinished(t *testing.T) {
	_, file := archive(t)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	// The first of the pages that hold the wide column tells where the next one is.
	copy(content[len(content)-4096:], bytes.Repeat([]byte{0xff}, 4))
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.FinishFile(t.Context(), file); !errors.Is(err, sqlite.ErrDamaged) {
		t.Errorf("error %v", err)
	}
}

func TestSQLiteAloneHasNoWAL(t *testing.T) {
	dir := t.TempDir()
	settings := sqliteAt(filepath.Join(dir, "x.db"))
	settings.Options = []any{sqlite.Options{Alone: true}}
	db := dialecttest.Open(t, settings)
	dialecttest.Execute(t, db, "CREATE TABLE kept (n INTEGER)")
	if n := dialecttest.Get[int](t, db, "SELECT COUNT(*) FROM kept"); n != 0 {
		t.Errorf("%d rows", n)
	}
	requireFiles(t, dir, "x.db")
}
