package enginetest

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// migrated is the content of a database file with the present schema. A process migrates one, and tests get copies.
var migrated = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "guppy-migrated-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	path := filepath.Join(dir, "guppy.db")
	if err := ensure(file(path)); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func copySQLite(tb testing.TB) dialect.Settings {
	tb.Helper()
	content, err := migrated()
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "guppy.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	return file(path)
}

func copyPostgres(tb testing.TB) dialect.Settings {
	tb.Helper()
	return server(pgtest.FilledURL(tb, func(url string) error { return ensure(server(url)) }))
}
