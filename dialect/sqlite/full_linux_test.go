package sqlite_test

import (
	"errors"
	"fmt"
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

// TestAFullFileSystemIsNamed: the error names the file system and the free space.
func TestAFullFileSystemIsNamed(t *testing.T) {
	dir := tiny(t, 4<<20)
	db := dialecttest.Open(t, dialect.Settings{Type: "sqlite", URL: dialect.Secret(filepath.Join(dir, "guppy.db"))})
	dialecttest.Execute(t, db, "CREATE TABLE many (data BLOB)")
	_, err := db.Writer.ExecContext(t.Context(), manyRows)
	dialecttest.RequireClass(t, db, err, dialect.Unusable)
	var advised *dialect.Advised
	if err = db.Explain(err); !errors.As(err, &advised) ||
		!strings.Contains(err.Error(), "the file system of "+dir+" had no room; ") ||
		!strings.Contains(err.Error(), " B free") {
		t.Errorf("error %v", err)
	}
	dialecttest.RequireClass(t, db, err, dialect.Unusable)
}
