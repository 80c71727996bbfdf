package dialect

import (
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/guppy-prep/guppy/internal/shortage"
)

// sqliteExplain says which file system is full. SQLite's own words name neither a file nor what is free.
func sqliteExplain(s Settings, err error, _ bool) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Code() {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE:
	default:
		return err
	}
	file, fileErr := sqliteFile(s)
	if fileErr != nil {
		return err
	}
	return &Advised{fmt.Errorf("%w: %s", err, shortage.Room(filepath.Dir(file))),
		"make room there for the database, the log of " +
			"changes and temporary files, which are all beside it, or move the data directory (repo.data_dir)"}
}
