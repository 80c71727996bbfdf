package dialect_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestSameDatabase(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db, again := open(t, settings), open(t, settings)
		requireSameDatabase(t, db, again, true)
		requireSameDatabase(t, db, db, true)
		requireSameDatabase(t, again, db, true)
		for _, engine := range enginetest.Engines() {
			requireSameDatabase(t, db, open(t, engine.Settings(t)), false)
		}
	})
}

func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "x.db"), filepath.Join(dir, "link.db")
	db := open(t, sqliteAt(file))
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	requireSameDatabase(t, db, open(t, sqliteAt(link)), true)
}

func TestTwoSchemasAreNotTheSame(t *testing.T) {
	url := dialect.Secret(pgtest.URL(t))
	var schemas []*dialect.DB
	for _, name := range []string{"one", "two", "two"} {
		settings := dialect.Settings{URL: url, Server: dialect.Server{Schema: name}}
		if err := dialect.MakeSchema(t.Context(), settings); err != nil {
			t.Fatal(err)
		}
		schemas = append(schemas, open(t, settings))
	}
	requireSameDatabase(t, schemas[0], schemas[1], false)
	requireSameDatabase(t, schemas[1], schemas[2], true)
}

func requireSameDatabase(t *testing.T, a, b *dialect.DB, want bool) {
	t.Helper()
	if same, err := dialect.Same(t.Context(), a, b); err != nil || same != want {
		t.Errorf("%s and %s: same %t, want %t; %v", a.Describe(), b.Describe(), same, want, err)
	}
}
