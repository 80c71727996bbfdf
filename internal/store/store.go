// Package store stores the bytes of shards.
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

// Store keeps blobs under names that are made from their content. Any number of processes, on any hosts, may use
// a store at once.
type Store interface {
	// Create begins a blob. The name of the owner contains only letters, digits, "-" and ".". The bytes of the
	// blob are not visible before Commit. Unfinished finds the remains of a blob by its owner.
	Create(ctx context.Context, owner string) (Blob, error)
	// Unfinished returns the blobs that were neither committed nor aborted and whose owner begins with prefix. It
	// always includes remains that have no owner and are so old that nobody is at work on them.
	Unfinished(ctx context.Context, prefix string) ([]Unfinished, error)
	// Committed yields the committed blobs, and anything else that somebody has put in the store.
	Committed(ctx context.Context) iter.Seq2[Committed, error]
	// Discard removes an unfinished blob. It is not an error if the blob is gone already.
	Discard(ctx context.Context, unfinished Unfinished) error
	// Identify returns the store's identity, and gives the store one if it has none. The identity is the same
	// from wherever the store is seen. Identify returns ErrDamagedMarker if the identity cannot be read.
	Identify(ctx context.Context) (string, error)
	// Marker returns the store's identity, or "" if it has none. Like Identify, it may return ErrDamagedMarker.
	Marker(ctx context.Context) (string, error)
	// Mark restores the identity that the store had. It sets an unreadable marker aside and never changes a
	// readable one.
	Mark(ctx context.Context, identity string) error
	// URL returns where the store is, as OpenURL takes it, in a form that is the same for all texts that name the
	// same place.
	URL() string
	// Size returns the length of a committed blob. Like Open and OpenAt, it returns fs.ErrNotExist if there is no
	// blob of this name, and ErrNotKept if the store keeps no bytes.
	Size(ctx context.Context, name string) (int64, error)
	// Open opens a committed blob for reading from its beginning.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// OpenAt opens a committed blob for random access.
	OpenAt(ctx context.Context, name string) (Reading, error)
	// Remove removes a committed blob at once. It is not an error if the blob does not exist. Remove is for blobs
	// that no row can ever name, since a late removal takes whatever has the name by then. All other blobs are
	// removed by way of the trash.
	Remove(ctx context.Context, name string) error

	// Trash begins the removal of a committed blob that no row names. After Trash the caller checks again that no
	// row names the blob, and then calls Restore or Delete. Until then the blob can be read as before. Trash
	// returns the zero value if there is no blob of this name.
	//
	// A blob that was committed or confirmed after Trash is not lost, however late any of these calls take
	// effect, and wherever their process is killed.
	Trash(ctx context.Context, owner, name string) (Trashed, error)
	// Trashed returns what an owner's removals have left in the trash, or the removals of all owners if owner is
	// "". It includes removals that others are still at work on only if it does no harm to end them twice.
	Trashed(ctx context.Context, owner string) ([]Trashed, error)
	// Restore makes a blob in the trash a committed blob again. It is not an error if the blob is gone from the
	// trash.
	Restore(ctx context.Context, blob Trashed) error
	// Delete removes a blob in the trash for good. It is not an error if the blob is gone. If the removal must
	// begin again, Delete returns ErrTooLate and has changed nothing.
	Delete(ctx context.Context, blob Trashed) error
	// SetAside renames a blob in the trash whose bytes are damaged, and returns the new name. It fails in the
	// same way as Delete.
	SetAside(ctx context.Context, blob Trashed) (aside string, err error)
	// Confirm returns fs.ErrNotExist unless there is a committed blob of this name and its removal has not begun.
	// Callers use it before they record a blob that was committed earlier.
	Confirm(ctx context.Context, name string) error
}

// ErrTooLate is returned if a removal has taken so long that it is uncertain whether it may continue.
var ErrTooLate = errors.New("the removal took too long and has to start again")

// Trashed is a blob whose removal has begun.
type Trashed struct {
	Owner, Name string
	// Key is the store's name for the blob until the blob is removed.
	Key string
}

// ErrNotKept is returned for the bytes of a blob by a store that keeps no bytes.
var ErrNotKept = errors.New("its bytes are not kept")

// ErrUnusable is returned if a store as a whole cannot be used: it is unreachable or full, or its bucket is
// missing or forbidden. It is also returned if this process lacks something that it needs to use the store: open
// files, memory or permission.
var ErrUnusable = errors.New("the store can't be used")

// ErrAbsent is returned for a store that is not to be found on this host, or no longer: its file system may not be
// mounted.
var ErrAbsent = errors.New("store not found")

// barred adds ErrUnusable to an error that concerns this process or its host rather than a blob.
func barred(err error) error {
	err = shortage.Noted(err)
	if shortage.Bars(err) && !errors.Is(err, ErrUnusable) {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return err
}

// Unfinished is a blob that is neither committed nor aborted, under its temporary name.
type Unfinished struct {
	Owner, Name string
	// Changed is the time of the last known change, or zero if that is unknown.
	Changed time.Time
}

// abandonedAfter is the time without a change after which a blob counts as abandoned if nothing else shows
// whether somebody is at work on it.
const abandonedAfter = 24 * time.Hour

// IsOld reports whether the last change is so long ago that nobody can be at work on the blob.
func (u Unfinished) IsOld() bool {
	return !u.Changed.IsZero() && time.Since(u.Changed) > abandonedAfter
}

// Committed is a blob under its final name.
type Committed struct {
	Name string
	Size int64
}

// CommitsAhead reports whether committing a blob takes requests that may be slow. Such a blob is committed before
// others are kept waiting, and then again, which only checks that the blob is there: somebody may have found the
// blob useless and removed it in between.
func CommitsAhead(s Store) bool {
	slow, ok := s.(interface{ CommitsAhead() bool })
	return ok && slow.CommitsAhead()
}

// Blob is a blob that is being written. Abort ends it, even after Commit. Only ReadAt is safe for concurrent use.
type Blob interface {
	io.Writer
	// ReaderAt reads what was written. It works until Abort, even after Commit.
	io.ReaderAt
	// Sync makes the bytes written so far durable, so that Commit has less to do. After a failed Sync, Commit
	// fails too.
	Sync(ctx context.Context) error
	// Stage moves the bytes to where they will be once the blob is committed under name, so that Commit takes
	// little time. Without Stage, Commit does the same work. The blob is not visible before Commit. Stage calls
	// alive from several goroutines with the number of bytes sent. Stage may be called again.
	Stage(ctx context.Context, name string, alive func(n int64)) error
	// Commit makes the bytes durable under name. The same name stands for the same bytes, so an existing blob of that
	// name is replaced. A second call does nothing, or repeats the work that failed. Commit returns fs.ErrNotExist if
	// somebody else has discarded the blob, has removed it since it was committed, or is about to remove it.
	Commit(ctx context.Context, name string) error
	// Abort removes the bytes unless the blob is committed, and releases the resources kept for reading. It may
	// be called more than once.
	Abort() error
}
