package known_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails checks that err is want, and that it is nil if want is.
func fails(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("error %v, want %v", err, want)
	}
}

// fixture is a repository, which counts how often its stores are listed, and a directory for stores.
type fixture struct {
	*testing.T
	*sqlrepo.Repository
	dir    string
	listed atomic.Int64
	// list, if not nil, is called before stores are listed.
	list func() error
}

func newFixture(t *testing.T, db *dialect.DB) *fixture {
	t.Helper()
	return &fixture{T: t, Repository: sqlrepo.New(db), dir: t.TempDir()}
}

// onSQLite is newFixture for tests of what does not depend on the engine.
func onSQLite(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t, enginetest.Engines()[0].Open(t))
}

// Stores implements known.Repository.
func (f *fixture) Stores(ctx context.Context) ([]sqlrepo.Store, error) {
	f.listed.Add(1)
	if f.list != nil {
		if err := f.list(); err != nil {
			return nil, err
		}
	}
	return f.Repository.Stores(ctx)
}

func (f *fixture) path(name string) string { return filepath.Join(f.dir, name) }

// directory opens the store in a directory, which it makes.
func (f *fixture) directory(name string) *store.Directory {
	f.Helper()
	files, err := store.OpenDirectory(f.path(name))
	must(f.T, err)
	return files
}

// register makes a store known.
func (f *fixture) register(files store.Store, name string) sqlrepo.Store {
	f.Helper()
	row, _, err := known.Register(f.Context(), f, files, name)
	must(f.T, err)
	return row
}

// rows returns the rows of all stores by name.
func (f *fixture) rows() []sqlrepo.Store {
	f.Helper()
	rows, err := f.Repository.Stores(f.Context())
	must(f.T, err)
	return rows
}

func (f *fixture) write(path, content string) {
	f.Helper()
	must(f.T, os.WriteFile(f.path(path), []byte(content), 0o600))
}

// elsewhere is a store that has another URL than it really has.
type elsewhere struct {
	store.Store
	url string
}

func (e elsewhere) URL() string { return e.url }
