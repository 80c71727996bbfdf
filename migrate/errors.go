package migrate

import (
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4/database"
)

// The reasons for leaving a schema as it is.
var (
	ErrOlder = errors.New("the schema is older than this program needs")
	ErrNewer = errors.New("the schema is newer than this program knows")
	ErrDirty = errors.New("the schema is dirty")
	ErrBusy  = errors.New("another process is migrating the database")
)

// RefusedError says why the schema was left as it is, and what to do. It wraps ErrOlder, ErrNewer or ErrDirty.
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

// FailedError is a migration that failed. It wraps the database's error.
type FailedError struct {
	// File is the migration's file, below the migrations' root.
	File string
	// Line is where in the file, 0 if unknown.
	Line uint
	// Dirty says that the schema is marked dirty, at the version that the migration leads to.
	Dirty bool
	// Version is the one before the migration. Each file runs in one transaction, so the schema is still that.
	Version uint
	// Hint names the commands to run once the cause is mended.
	Hint string
	Err  error
}

func (e *FailedError) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s, line %d", e.File, e.Line)
	}
	state := "the schema is still at"
	if e.Dirty {
		state = "the schema is marked dirty; it was at"
	}
	return fmt.Sprintf("migration %s failed: %v; %s version %d; %s", place, e.Err, state, e.Version, e.Hint)
}

func (e *FailedError) Unwrap() error { return e.Err }

// cause unwraps golang-migrate's error, which hides the database's own and prints the whole file.
func cause(err error) (line uint, cause error) {
	var pointer *database.Error
	if errors.As(err, &pointer) && pointer.OrigErr != nil {
		return pointer.Line, pointer.OrigErr
	}
	var value database.Error
	if errors.As(err, &value) && value.OrigErr != nil {
		return value.Line, value.OrigErr
	}
	return 0, err
}
