package sqlite

import (
	"errors"
	"io/fs"

	modernc "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/guppy-prep/guppy/dialect"
)

// Classify goes by result code: https://www.sqlite.org/rescode.html
func (Engine) Classify(err error) dialect.Class {
	var failure *modernc.Error
	if !errors.As(err, &failure) {
		switch {
		case fileFailed(err):
			return dialect.Unusable
		case dialect.ConnectionLost(err):
			return dialect.Unavailable
		}
		return dialect.Other
	}

	switch failure.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return dialect.Exists
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return dialect.MissingReference
	}

	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return dialect.Conflict
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_AUTH:
		return dialect.Unusable
	}
	return dialect.Other
}

// fileFailed reports whether the operating system refuses an operation on a file.
func fileFailed(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path)
}
