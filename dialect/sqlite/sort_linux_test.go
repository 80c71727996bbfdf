//go:build long

package sqlite_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

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
