package migrate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// sourceTree is a directory with the first three migrations.
func sourceTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, first(3)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCreate(t *testing.T) {
	dir := sourceTree(t)
	files, err := Create(dir, "more_tables")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, engine := range dialect.Names() {
		want = append(want, filepath.Join(dir, engine, "0004_more_tables.up.sql"),
			filepath.Join(dir, engine, "0004_more_tables.down.sql"))
	}
	requireEqual(t, files, want)
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := New(settings, WithMigrations(os.DirFS(dir)))
		if result := mustUp(t, m); result.To != 4 {
			t.Errorf("%+v", result)
		}
		if _, err := m.Down(t.Context(), 1); err != nil {
			t.Error(err)
		}
	})
	if files, err := Create(dir, "five"); err != nil || filepath.Base(files[0]) != "0005_five.up.sql" {
		t.Errorf("%q, %v", files, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	for _, name := range []string{"", "Upper", "1st", "a-b", "a b", "../a", "a_", "a__b", "é", "a.up"} {
		if files, err := Create(sourceTree(t), name); !errors.Is(err, ErrName) || files != nil {
			t.Errorf("%q: %q, %v", name, files, err)
		}
	}
	dir := sourceTree(t)
	if _, err := Create(dir, "two"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, err := Create(t.TempDir(), "four"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no source tree: %v", err)
	}
	last := dialect.Names()[1]
	if err := os.Mkdir(filepath.Join(dir, last, "0004_four.down.sql"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, "four"); err == nil {
		t.Error("half of a migration was completed")
	}
	if _, err := os.Stat(filepath.Join(dir, dialect.Names()[0], "0004_four.up.sql")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half of a migration is left: %v", err)
	}
}
