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
	// ErrAbsent is returned, with WithExisting, for a database that is not there or has no tables.
	ErrAbsent = errors.New("there is none")
	ErrBusy   = errors.New("another process is migrating the database")
	// ErrPooled is returned for a database behind a pooler in transaction mode, where no lock keeps others away.
	ErrPooled = errors.New("the schema can't be changed through a pooler in transaction mode: set repo.migrate_url " +
		"(GUPPY_REPO_MIGRATE_URL) to the server's own URL")
	// ErrElsewhere is returned when what was migrated over the settings of WithDirect is not what the others open.
	ErrElsewhere = errors.New("repo.migrate_url leads to another database or schema than the other settings: " +
		"that one was migrated")
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
	// Line is where in the file, 0 if it was no statement of the file that failed, but the commit.
	Line uint
	// Statement is how the one that failed begins, "" if none did.
	Statement string
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
	at := ""
	if e.Statement != "" {
		at = fmt.Sprintf(" at %q", e.Statement)
	}
	outcome := fmt.Sprintf("it changed nothing: the schema is still at version %d", e.Version)
	if e.Unsure {
		outcome = fmt.Sprintf("no answer came: the schema is still at version %d, or migrated", e.Version)
	}
	return fmt.Sprintf("migration %s failed%s: %v; %s; %s", place, at, e.Err, outcome, e.Hint)
}

func (e *FailedError) Unwrap() error { return e.Err }

// scriptError is the database's error, and the line and the beginning of the statement that it is about.
type scriptError struct {
	line      uint
	statement string
	err       error
}

func (e *scriptError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }

func (e *scriptError) Unwrap() error { return e.err }
