package dialect

import (
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/guppy-prep/guppy/internal/host/shortage"
)

// sqliteExplain says which file system is full. SQLite's own words name neither a file nor what is free.
func sqliteExplain(s Settings, err error, _ bool) error {
	file, fileErr := sqliteFile(s)
	if fileErr != nil {
		return err
	}
	return explainFull(err, file, "make room there for the database, the log of changes and temporary files, which are all "+
		"beside it, or move the data directory (repo.data_dir)")
}

// explainFull adds to an error that says that there is no room for a file what is free there.
func explainFull(err error, file, advice string) error {
	var failure *sqlite.Error
	var advised *Advised
	if !errors.As(err, &failure) || errors.As(err, &advised) {
		return err
	}
	switch failure.Code() {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE:
	default:
		return err
	}
	return &Advised{fmt.Errorf("%w: %s", err, shortage.Room(filepath.Dir(file))), advice}
}
