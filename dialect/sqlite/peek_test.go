package sqlite_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

// TestAPeekLeavesNoTrace looks at a file that a process uses, and at one that nobody uses.
func TestAPeekLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	settings := sqliteAt(filepath.Join(dir, "x.db"))
	db, err := dialect.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	dialecttest.Execute(t, db, "CREATE TABLE kept (n INTEGER)", "INSERT INTO kept VALUES (1), (2)")

	requirePeek(t, settings, dir, 2)
	dialecttest.Execute(t, db, "INSERT INTO kept VALUES (3)")
	requirePeek(t, settings, dir, 3)

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	requirePeek(t, settings, dir, 3)
}

func requirePeek(t *testing.T, settings dialect.Settings, dir string, want int) {
	t.Helper()
	before := filesIn(t, dir)
	settings.Peek = true
	db, err := dialect.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}

	var rows int
	if err := db.Reader.GetContext(t.Context(), &rows, "SELECT COUNT(*) FROM kept"); err != nil || rows != want {
		t.Errorf("%d rows, %v; want %d", rows, err, want)
	}
	if _, err := db.Writer.ExecContext(t.Context(), "INSERT INTO kept VALUES (4)"); err == nil {
		t.Error("it wrote")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if after := filesIn(t, dir); !slices.Equal(after, before) {
		t.Errorf("files %q became %q", before, after)
	}
}

func TestAPeekMakesNoFile(t *testing.T) {
	dir := t.TempDir()
	settings := sqliteAt(filepath.Join(dir, "x.db"))
	settings.Peek = true
	if _, err := dialect.Open(t.Context(), settings); err == nil {
		t.Error("there is nothing to look at")
	}

	// What a killed process may leave has to be recovered by one that may write.
	for _, name := range []string{"x.db", "x.db-wal"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dialect.Open(t.Context(), settings); err == nil {
		t.Error("a WAL without its index was opened")
	}
	if files := filesIn(t, dir); !slices.Equal(files, []string{"x.db", "x.db-wal"}) {
		t.Errorf("files are %q", files)
	}
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
