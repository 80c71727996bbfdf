package sqlite_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func sqliteSettings(t *testing.T) (dialect.Settings, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.db")
	return dialect.Settings{URL: dialect.Secret(file), Options: []any{sqlite.Options{BusyTimeout: time.Millisecond}}}, file
}

func TestClassifySQLiteBusy(t *testing.T) {
	settings, _ := sqliteSettings(t)
	first, second := dialecttest.Open(t, settings), dialecttest.Open(t, settings)
	dialecttest.Execute(t, first, "CREATE TABLE a (n BIGINT)")
	err := dialecttest.InTx(t.Context(), first, func(*dialect.Tx) error {
		_, err := second.Writer.ExecContext(t.Context(), "INSERT INTO a VALUES (1)")
		return err
	})
	dialecttest.RequireClass(t, first, err, dialect.Conflict)
}

func TestClassifySQLiteReadOnly(t *testing.T) {
	settings, _ := sqliteSettings(t)
	db := dialecttest.Open(t, settings)
	_, err := db.Reader.ExecContext(t.Context(), "CREATE TABLE a (n BIGINT)")
	dialecttest.RequireClass(t, db, err, dialect.Unusable)
}

func TestClassifySQLiteFull(t *testing.T) {
	settings, _ := sqliteSettings(t)
	db := dialecttest.Open(t, settings)
	dialecttest.Execute(t, db, "CREATE TABLE a (b BLOB)", "PRAGMA max_page_count = 3")
	_, err := db.Writer.ExecContext(t.Context(), "INSERT INTO a VALUES (zeroblob(100000))")
	dialecttest.RequireClass(t, db, err, dialect.Unusable)
}

// A file that can't be opened is no reason to try again.
func TestClassifySQLiteUnusableFiles(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, file string) error{
		"not a database": func(_ *testing.T, file string) error {
			return os.WriteFile(file, bytes.Repeat([]byte("no database "), 1000), 0o600)
		},
		"a directory":  func(_ *testing.T, file string) error { return os.Mkdir(file, 0o700) },
		"no directory": func(_ *testing.T, file string) error { return os.Remove(filepath.Dir(file)) },
		"a file as a directory": func(_ *testing.T, file string) error {
			dir := filepath.Dir(file)
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			settings, file := sqliteSettings(t)
			if err := prepare(t, file); err != nil {
				t.Fatal(err)
			}

			db, err := dialect.Open(t.Context(), settings)
			if err == nil {
				t.Fatalf("%s was opened", db.Describe())
			}
			dialecttest.RequireClass(t, sqlite.Engine{}, err, dialect.Unusable)
		})
	}
}

func TestClassifySQLiteCorrupt(t *testing.T) {
	settings, file := sqliteSettings(t)
	db, err := dialect.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}

	dialecttest.Execute(t, db, "CREATE TABLE a (b BLOB)", "INSERT INTO a VALUES (zeroblob(100000))",
		"CREATE TABLE c (b BLOB)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	for i := 4096; i < len(content); i++ {
		content[i] = 0xa5
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}

	damaged := dialecttest.Open(t, settings)
	var n int
	err = damaged.Reader.GetContext(t.Context(), &n, "SELECT SUM(LENGTH(b)) FROM a")
	dialecttest.RequireClass(t, damaged, err, dialect.Unusable)
}
