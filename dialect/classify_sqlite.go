package dialect

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// classifySQLite goes by result code: https://www.sqlite.org/rescode.html
func classifySQLite(err error) Class {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		switch {
		case fileFailed(err):
			return Unusable
		case connectionLost(err):
			return Unavailable
		}
		return Other
	}
	switch failure.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return Exists
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return MissingReference
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return Conflict
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_AUTH:
		return Unusable
	}
	return Other
}
