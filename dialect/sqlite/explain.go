package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"

	modernc "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/host/shortage"
)

// Explain says which file system is full. SQLite's message names neither the file nor the free space.
func (Engine) Explain(s dialect.Settings, err error, _ bool) error {
	file, fileErr := fileOf(s)
	if fileErr != nil {
		return err
	}
	return explainFull(err, file, "make room there for the database, the log of changes and temporary files, which are "+
		"all beside it, or move the data directory (repo.data_dir)")
}

// explainFull adds the free space to an error that says that there is no room for a file.
func explainFull(err error, file, advice string) error {
	var failure *modernc.Error
	var advised *dialect.Advised
	if !errors.As(err, &failure) || errors.As(err, &advised) {
		return err
	}
	switch failure.Code() {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE:
	default:
		return err
	}
	return dialect.NewAdvised(fmt.Errorf("%w: %s", err, shortage.Room(filepath.Dir(file))), advice)
}
