package sqlrepo

import (
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/dialect"
)

// What a caller may test for with errors.Is. The driver's error stays in the chain.
var (
	// ErrNotFound is returned when what was asked for is not in the repository.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned when a row with the same unique key is there already.
	ErrExists = errors.New("already exists")
	// ErrMissingReference is returned when a row refers to one that is not there.
	ErrMissingReference = errors.New("missing reference")
	// ErrConflict is returned when a transaction kept losing against others for as long as it was retried.
	ErrConflict = errors.New("database is busy")
	// ErrUnavailable is returned when the database could not be reached for as long as that was retried.
	ErrUnavailable = errors.New("database is unavailable")
	// ErrUnusable is returned when the database can't be used as it is: read-only, full, damaged.
	ErrUnusable = errors.New("database can't be used")
	// ErrLeaseLost is returned when another worker has taken over the work; nothing was changed.
	ErrLeaseLost = errors.New("another worker has taken over")
	// ErrState is returned when an upload is not in the state from which it was to be changed; nothing was changed.
	ErrState = errors.New("the upload is in another state")
	// ErrAtWork is returned when others are at work on an upload, so that it can't be changed now.
	ErrAtWork = errors.New("others are at work on it")
	// ErrSpaceChanged is returned when a shard was sealed in the space after its blocks were looked up; nothing was
	// changed.
	ErrSpaceChanged = errors.New("another shard was sealed meanwhile")
	// ErrOtherStore is returned for an unfinished upload of which content is in another store than the one given.
	ErrOtherStore = errors.New("its content is in another store: say --store where that is, or remove the upload")
	// ErrRecipe is returned for an unfinished upload whose recipe can't change, but for a larger shard size.
	ErrRecipe = errors.New("an unfinished upload keeps its profile, indexes, piece CIDs and shard size, but for a larger one")
	// ErrLocked is returned when another process holds the lock that this one asked for.
	ErrLocked = dialect.ErrLocked
	// ErrLockLost is returned for work under a lock that is not held any more.
	ErrLockLost = dialect.ErrLockLost
)

var sentinels = map[dialect.Class]error{
	dialect.Exists:           ErrExists,
	dialect.MissingReference: ErrMissingReference,
	dialect.Conflict:         ErrConflict,
	dialect.Unavailable:      ErrUnavailable,
	dialect.Unusable:         ErrUnusable,
}

// classified adds what was being done and the sentinel of the error's class.
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

// affected returns an error unless a statement changed exactly one row.
func affected(rows int64, zero error) error {
	switch rows {
	case 0:
		return zero
	case 1:
		return nil
	}
	return fmt.Errorf("%d rows changed where one was meant", rows)
}
