package core

import (
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/dialect"
)

// The errors that callers of the repository may test for. The driver's error stays in the chain.
var (
	// ErrNotFound is returned if the repository does not hold what was asked for.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned if a row with the same unique key already exists.
	ErrExists = errors.New("already exists")
	// ErrMissingReference is returned if a row refers to one that does not exist.
	ErrMissingReference = errors.New("missing reference")
	// ErrConflict is returned if a transaction kept losing against others for as long as it was retried.
	ErrConflict = errors.New("database is busy")
	// ErrUnavailable is returned if the database could not be reached for as long as that was retried.
	ErrUnavailable = errors.New("database is unavailable")
	// ErrUnusable is returned if the database can't be used as it is: read-only, full, damaged.
	ErrUnusable = errors.New("database can't be used")
	// ErrRewound is returned once it shows that the database has lost commits of this process: it went back to an
	// earlier state, as it does after a failover to a standby that lagged, or when a backup is put in its place. All
	// later work of the process ends with the same error. Another process may begin with what is there.
	ErrRewound = errors.New("the database has lost commits of this process: it went back to an earlier state, as " +
		"after a failover to a standby that lagged: run the command again, then guppy check")
)

var sentinels = map[dialect.Class]error{
	dialect.Exists:           ErrExists,
	dialect.MissingReference: ErrMissingReference,
	dialect.Conflict:         ErrConflict,
	dialect.Unavailable:      ErrUnavailable,
	dialect.Unusable:         ErrUnusable,
}

// Classified adds the failed operation and the sentinel of the error's class.
func (db *DB) Classified(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = db.Explain(err)
	if sentinel := sentinels[db.Classify(err)]; sentinel != nil {
		return fmt.Errorf("%s: %w: %w", doing, sentinel, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Affected returns an error unless a statement changed exactly one row: zero if it changed none.
func Affected(rows int64, zero error) error {
	switch rows {
	case 0:
		return zero
	case 1:
		return nil
	}
	return fmt.Errorf("%d rows changed where one was meant", rows)
}
