package dialect_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestSameDatabase(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db, again := dialecttest.Open(t, settings), dialecttest.Open(t, settings)
		requireSameDatabase(t, db, again, true)
		requireSameDatabase(t, db, db, true)
		requireSameDatabase(t, again, db, true)
		for _, engine := range enginetest.Engines() {
			requireSameDatabase(t, db, dialecttest.Open(t, engine.Settings(t)), false)
		}
	})
}

func sqliteAt(file string) dialect.Settings { return dialect.Settings{URL: dialect.Secret(file)} }

func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "x.db"), filepath.Join(dir, "link.db")
	db := dialecttest.Open(t, sqliteAt(file))
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	requireSameDatabase(t, db, dialecttest.Open(t, sqliteAt(link)), true)
}

func TestTwoSchemasAreNotTheSame(t *testing.T) {
	url := dialect.Secret(pgtest.URL(t))
	var schemas []*dialect.DB
	for _, name := range []string{"one", "two", "two"} {
		settings := dialect.Settings{URL: url, Options: []any{postgres.Options{Schema: name}}}
		if err := dialect.MakeSchema(t.Context(), settings); err != nil {
			t.Fatal(err)
		}
		schemas = append(schemas, dialecttest.Open(t, settings))
	}
	requireSameDatabase(t, schemas[0], schemas[1], false)
	requireSameDatabase(t, schemas[1], schemas[2], true)
}

func requireSameDatabase(t *testing.T, a, b *dialect.DB, want bool) {
	t.Helper()
	if same, err := a.Same(t.Context(), b); err != nil || same != want {
		t.Errorf("%s and %s: same %t, want %t; %v", a.Describe(), b.Describe(), same, want, err)
	}
}
