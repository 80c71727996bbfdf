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
	// ErrForeign is returned for a database that has tables but none of guppy's.
	ErrForeign = errors.New("the database is another program's")
	// ErrAbsent is returned, with WithExisting, for a database that does not exist or has no tables.
	ErrAbsent = errors.New("no repository")
	ErrBusy   = errors.New("another process is migrating the database")
	// ErrPooled is returned for a database behind a pooler in transaction mode, where no lock keeps others away.
	ErrPooled = errors.New("the schema can't be changed through a pooler in transaction mode: set repo.migrate_url " +
		"(GUPPY_REPO_MIGRATE_URL) to the server's own URL")
	// ErrElsewhere is returned if the database migrated with the settings of WithDirect is not the one that the
	// other settings open.
	ErrElsewhere = errors.New("repo.migrate_url leads to another database or schema than the other settings: " +
		"that one was migrated")
)

// RefusedError says why the schema was left as it is and what to do. It wraps ErrOlder, ErrNewer, ErrDirty or
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

// FailedError describes a migration that failed and was rolled back as a whole. It wraps the database's error.
type FailedError struct {
	// File is the migration's file, below the migrations' root.
	File string
	// Line is the line in the file, 0 if the commit failed and not a statement of the file.
	Line uint
	// Statement is the beginning of the failed statement, "" if no statement failed.
	Statement string
	// Version is the schema's version: the one before the migration, not dirty.
	Version uint
	// Unsure is true if the answer to the commit was lost. The schema may then also be at the version after the
	// migration.
	Unsure bool
	// Hint names the command to run once the cause is fixed.
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

// scriptError is the database's error, with the line and the beginning of the statement that failed.
type scriptError struct {
	line      uint
	statement string
	err       error
}

func (e *scriptError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }

func (e *scriptError) Unwrap() error { return e.err }
