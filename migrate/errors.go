package migrate

import (
	"errors"
	"fmt"
)

// The reasons for leaving a schema as it is.
var (
	ErrOlder = errors.New("the schema is older than this program needs")
	ErrNewer = errors.New("the schema is newer than this program knows")
	ErrDirty = errors.New("the schema is dirty")
	// ErrForeign is returned for a database that has tables, none of which are guppy's.
	ErrForeign = errors.New("the database is another program's")
	ErrBusy    = errors.New("another process is migrating the database")
	// ErrPooled is returned for a database behind a pooler in transaction mode, where no lock keeps others away.
	ErrPooled = errors.New("the schema can't be changed through a pooler in transaction mode: run guppy migrate up " +
		"with the server's own database URL and GUPPY_REPO_POOLER=none")
)

// RefusedError says why the schema was left as it is, and what to do. It wraps ErrOlder, ErrNewer, ErrDirty or
// ErrForeign.
type RefusedError struct {
	Reason            error
	Current, Required uint
	// Hint names the command to run next.
	Hint string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v (version %d, required %d): %s", e.Reason, e.Current, e.Required, e.Hint)
}

func (e *RefusedError) Unwrap() error { return e.Reason }

// FailedError is a migration that failed, and was rolled back wholly. It wraps the database's error.
type FailedError struct {
	// File is the migration's file, below the migrations' root.
	File string
	// Line is where in the file, 0 if unknown.
	Line uint
	// Version is the schema's: the one before the migration, and not dirty.
	Version uint
	// Unsure says that the answer to the commit was lost, so that the schema may also be the one after the migration.
	Unsure bool
	// Hint names the command to run once the cause is mended.
	Hint string
	Err  error
}

func (e *FailedError) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s, line %d", e.File, e.Line)
	}
	outcome := fmt.Sprintf("it changed nothing: the schema is still at version %d", e.Version)
	if e.Unsure {
		outcome = fmt.Sprintf("no answer came: the schema is still at version %d, or migrated", e.Version)
	}
	return fmt.Sprintf("migration %s failed: %v; %s; %s", place, e.Err, outcome, e.Hint)
}

func (e *FailedError) Unwrap() error { return e.Err }

// scriptError is the database's error and the line of the script that it points at, 0 if none.
type scriptError struct {
	line uint
	err  error
}

func (e *scriptError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }

func (e *scriptError) Unwrap() error { return e.err }
