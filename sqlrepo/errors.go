package sqlrepo

import (
	"errors"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// The errors that a caller may test for with errors.Is. The driver's error stays in the chain.
var (
	// ErrNotFound is returned if the repository does not hold what was asked for.
	ErrNotFound = core.ErrNotFound
	// ErrExists is returned if a row with the same unique key already exists.
	ErrExists = core.ErrExists
	// ErrMissingReference is returned if a row refers to one that does not exist.
	ErrMissingReference = core.ErrMissingReference
	// ErrConflict is returned if a transaction kept losing against others for as long as it was retried.
	ErrConflict = core.ErrConflict
	// ErrUnavailable is returned if the database could not be reached for as long as that was retried.
	ErrUnavailable = core.ErrUnavailable
	// ErrUnusable is returned if the database can't be used as it is: read-only, full, damaged.
	ErrUnusable = core.ErrUnusable
	// ErrRewound is returned once it shows that the database has lost commits of this process, as after a failover to
	// a standby that lagged. All later work of the process ends with the same error.
	ErrRewound = core.ErrRewound
	// ErrLeaseLost is returned if another worker has taken over the work. Nothing was changed.
	ErrLeaseLost = errors.New("another worker has taken over")
	// ErrState is returned if an upload is not in the state from which it was to be changed. Nothing was changed.
	ErrState = errors.New("the upload is in another state")
	// ErrAtWork is returned if an upload can't be changed now because others are at work on it.
	ErrAtWork = errors.New("other workers are using it")
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
