package sqlrepo

import (
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/dialect"
)

// The errors that a caller may test for with errors.Is. The driver's error stays in the chain.
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
	// ErrLeaseLost is returned if another worker has taken over the work. Nothing was changed.
	ErrLeaseLost = errors.New("another worker has taken over")
	// ErrState is returned if an upload is not in the state from which it was to be changed. Nothing was changed.
	ErrState = errors.New("the upload is in another state")
	// ErrAtWork is returned if an upload can't be changed now because others are at work on it.
	ErrAtWork = errors.New("others are at work on it")
	// ErrSpaceChanged is returned if a shard was sealed in the space after its blocks were looked up. Nothing was
	// changed.
	ErrSpaceChanged = errors.New("another shard was sealed meanwhile")
	// ErrOtherStore is returned for an unfinished upload with content in another store than the one given.
	ErrOtherStore = errors.New("its content is in another store: say --store where that is, or remove the upload")
	// ErrRecipe is returned for an unfinished upload whose recipe can't change, except to a larger shard size.
	ErrRecipe = errors.New("an unfinished upload keeps its profile, indexes, piece CIDs and shard size, but " +
		"for a larger one")
	// ErrLocked is returned if another process holds the requested lock.
	ErrLocked = dialect.ErrLocked
	// ErrLockLost is returned for work under a lock that is no longer held.
	ErrLockLost = dialect.ErrLockLost
)

var sentinels = map[dialect.Class]error{
	dialect.Exists:           ErrExists,
	dialect.MissingReference: ErrMissingReference,
	dialect.Conflict:         ErrConflict,
	dialect.Unavailable:      ErrUnavailable,
	dialect.Unusable:         ErrUnusable,
}

// classified adds the failed operation and the sentinel of the error's class.
func (r *Repository) classified(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = r.db.Explain(err)
	if sentinel := sentinels[r.db.Classify(err)]; sentinel != nil {
		return fmt.Errorf("%s: %w: %w", doing, sentinel, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// affected returns an error unless a statement changed exactly one row: zero if it changed none.
func affected(rows int64, zero error) error {
	switch rows {
	case 0:
		return zero
	case 1:
		return nil
	}
	return fmt.Errorf("%d rows changed where one was meant", rows)
}
