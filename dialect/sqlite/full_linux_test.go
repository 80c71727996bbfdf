package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

// tiny returns a directory with a file system of its own, of the given size in bytes.
func tiny(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// manyRows are more than SQLite sorts in memory.
const manyRows = `INSERT INTO many SELECT randomblob(200) FROM (WITH RECURSIVE n (i) AS
	(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000) SELECT i FROM n)`

// envSort makes the test a process that sorts rows in the database file of this name: SQLite asks for TMPDIR once.
const envSort = "GUPPY_TEST_DIALECT_SORT"

// TestTemporaryFilesAreBesideTheDatabase sorts and vacuums with a TMPDIR that has no room.
func TestTemporaryFilesAreBesideTheDatabase(t *testing.T) {
	if file := os.Getenv(envSort); file != "" {
		db := dialecttest.Open(t, dialect.Settings{Type: "sqlite", URL: dialect.Secret(file)})
		dialecttest.Execute(t, db, "CREATE TABLE many (data BLOB)", manyRows, "CREATE INDEX many_data ON many (data)",
			"CREATE TABLE sorted AS SELECT data FROM many ORDER BY substr(data, 2)", "VACUUM")
		return
	}

	dir := filepath.Join(t.TempDir(), "with 'quotes'")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}

	small := tiny(t, 64<<10)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTemporaryFilesAreBesideTheDatabase$")
	child.Env = append(os.Environ(), envSort+"="+filepath.Join(dir, "guppy.db"), "TMPDIR="+small, "SQLITE_TMPDIR="+small)
	if said, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
}

// TestAFullFileSystemIsNamed: the error names the file system and the free space.
func TestAFullFileSystemIsNamed(t *testing.T) {
	dir := tiny(t, 4<<20)
	db := dialecttest.Open(t, dialect.Settings{Type: "sqlite", URL: dialect.Secret(filepath.Join(dir, "guppy.db"))})
	dialecttest.Execute(t, db, "CREATE TABLE many (data BLOB)")
	_, err := db.Writer.ExecContext(t.Context(), manyRows)
	dialecttest.RequireClass(t, db, err, dialect.Unusable)
	var advised *dialect.Advised
	if err = db.Explain(err); !errors.As(err, &advised) ||
		!strings.Contains(err.Error(), "the file system of "+dir+" has ") || !strings.Contains(err.Error(), "bytes free") {
		t.Errorf("error %v", err)
	}
	dialecttest.RequireClass(t, db, err, dialect.Unusable)
}
