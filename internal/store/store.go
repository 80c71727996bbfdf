// Package store is where the bytes of shards go.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/guppy-prep/guppy/internal/host/shortage"
)

// Store keeps blobs under names that are made from their content. Any number of processes, on any hosts, may use one at
// once.
type Store interface {
	// Create begins a blob of an owner, whose name holds letters, digits, "-" and "." alone. Its bytes are not to be seen
	// before Commit, and Unfinished finds what is left of it by owner.
	Create(ctx context.Context, owner string) (Blob, error)
	// Unfinished returns the blobs that were neither committed nor aborted yet and whose owner begins with prefix. What
	// has no owner, and is so old that nobody is at work on it, is always among them.
	Unfinished(ctx context.Context, prefix string) ([]Unfinished, error)
	// Committed yields the blobs that were committed, and what somebody else has put there.
	Committed(ctx context.Context) iter.Seq2[Committed, error]
	// Discard removes an unfinished blob. One that is gone already is no error.
	Discard(ctx context.Context, unfinished Unfinished) error
	// Identify returns the store's identity, which is the same from wherever the store is seen, and gives it one if it has
	// none. It returns ErrDamagedMarker when the identity can't be told.
	Identify(ctx context.Context) (string, error)
	// Marker returns the store's identity, or "" if it has none. It returns ErrDamagedMarker as Identify does.
	Marker(ctx context.Context) (string, error)
	// Mark gives the store back the identity that it had, and sets a marker aside that can't be read. It changes no marker
	// that can be read.
	Mark(ctx context.Context, identity string) error
	// Location is the URL of a committed blob.
	Location(name string) string
	// Size is the length of a committed blob. Like Open and OpenAt it returns fs.ErrNotExist when there is none of this
	// name, and ErrNotKept when the store keeps no bytes.
	Size(ctx context.Context, name string) (int64, error)
	// Open reads a committed blob from its beginning.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// OpenAt opens a committed blob for reading at random.
	OpenAt(ctx context.Context, name string) (Reading, error)
	// Remove removes a committed blob at once. One that is not there is no error. It is for what no row can ever name: a
	// removal that is late takes whatever has the name then. All else goes by way of the trash.
	Remove(ctx context.Context, name string) error

	// Trash begins the removal of a committed blob: whoever has found that no row names it asks again after that, and then
	// calls Restore or Delete. Until then it is read as before. It returns the zero value if there is no blob of this
	// name. However late any of these calls take effect, and wherever their process is killed, what was committed after
	// Trash, or confirmed, is not lost.
	Trash(ctx context.Context, owner, name string) (Trashed, error)
	// Trashed lists what an owner's removals have left in the trash, or those of all owners if it is "". What others still
	// use is among them only where it does no harm to end it twice.
	Trashed(ctx context.Context, owner string) ([]Trashed, error)
	// Restore makes a blob a committed one again. One that is gone from the trash is no error.
	Restore(ctx context.Context, blob Trashed) error
	// Delete removes a blob of the trash for good. One that is gone is no error. It returns ErrTooLate, and has changed
	// nothing, if the removal has to begin again.
	Delete(ctx context.Context, blob Trashed) error
	// SetAside renames a blob of the trash whose bytes are damaged, and returns its new name. It fails as Delete does.
	SetAside(ctx context.Context, blob Trashed) (aside string, err error)
	// Confirm returns fs.ErrNotExist unless a committed blob is there and nobody has begun to remove it. It is for who
	// is about to record a blob that was committed earlier.
	Confirm(ctx context.Context, name string) error
}

// ErrTooLate is returned when a removal has taken so long that it is not known any more whether it may go on.
var ErrTooLate = errors.New("the removal has taken too long and has to begin again")

// Trashed is a blob that is about to be removed.
type Trashed struct {
	Owner, Name string
	// Key is what the store calls it until it is removed.
	Key string
}

// ErrNotKept is returned for the bytes of a blob by a store that keeps none.
var ErrNotKept = errors.New("its bytes are not kept")

// ErrUnusable is returned when a store as a whole can't be used: it is away or can't be reached, full, or its bucket is
// missing or forbidden. It is also returned when this process lacks what it needs to use the store: open files, memory,
// or permission.
var ErrUnusable = errors.New("the store can't be used")

// ErrOutOfSight is returned for an upload when this host can't see its store, or its source.
var ErrOutOfSight = errors.New("out of sight")

// barred adds ErrUnusable to an error that says nothing about a blob, but something about this process or its host.
func barred(err error) error {
	if shortage.Bars(err) && !errors.Is(err, ErrUnusable) {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return err
}

// Unfinished is a blob under its temporary name.
type Unfinished struct {
	Owner, Name string
	// Changed is when it was last seen to change; zero if that is not known.
	Changed time.Time
}

// abandonedAfter is how long nothing changes of what nobody is at work on any more, where nothing else tells.
const abandonedAfter = 24 * time.Hour

// IsOld tells whether nothing has changed for so long that nobody can be at work on it.
func (u Unfinished) IsOld() bool {
	return !u.Changed.IsZero() && time.Since(u.Changed) > abandonedAfter
}

// Committed is a blob under its own name.
type Committed struct {
	Name string
	Size int64
}

// CommitsAhead tells whether committing a blob takes requests that may be slow, so that it is done before others are
// kept waiting, and then once more, which only looks for the blob. Somebody may find it useless and remove it in
// between.
func CommitsAhead(s Store) bool {
	slow, ok := s.(interface{ CommitsAhead() bool })
	return ok && slow.CommitsAhead()
}

// Blob is being written. Abort ends it, after Commit too. But for ReadAt it is not safe for concurrent use.
type Blob interface {
	io.Writer
	// ReaderAt reads what was written, after Commit too, until Abort.
	io.ReaderAt
	// Sync makes what was written so far durable, so that Commit has less to do. Commit fails after a Sync that failed.
	Sync(ctx context.Context) error
	// Stage brings all that was written to where it will be once it is committed under name, so that Commit takes little
	// time. Nothing is to be seen before that. It calls alive from many goroutines, with the bytes that were sent, and may
	// be called again. Without it, Commit does the same.
	Stage(ctx context.Context, name string, alive func(n int64)) error
	// Commit makes the bytes durable under name, then returns their URL. The same name stands for the same bytes, so one
	// that is there already is replaced. Called again, it returns the same URL, or tries again what failed. It returns
	// fs.ErrNotExist when somebody else has discarded the blob, or removed it since it was committed, or is about to.
	Commit(ctx context.Context, name string) (location string, err error)
	// Abort removes what was written, unless it is committed, and gives back what was kept for reading it. It may be
	// called more than once.
	Abort() error
}
