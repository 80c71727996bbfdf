package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/guppy-prep/guppy/internal/host/shortage"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Access is a worker's access to what it needs for an upload: the space, the store and the source.
type Access struct {
	Space sqlrepo.Space
	Store store.Store
	FS    source.FS
	// Root is the path of the source on this host.
	Root string
	// Held, if not nil, is the handle through which FS reads the source. Its sighting is kept in the repository. A
	// roving worker closes the handle when nothing uses it any longer.
	Held *source.Held
}

// lookAgain is how long a worker relies on the access that it found for an upload. A mount may come or go.
const lookAgain = 30 * time.Second

// ErrSkipped is returned for an upload that a worker skips, because a failure would make other work of the upload fail
// too.
var ErrSkipped = errors.New("upload skipped on this host")

// located is the access of an upload, or the reason why it was not found.
type located struct {
	is     identity
	access *Access
	err    error
	until  time.Time
}

// identity tells an upload from another one that got its key after a failover that has lost commits.
type identity struct{ source, started int64 }

func identityOf(upload sqlrepo.Upload) identity {
	return identity{upload.Source, upload.StartedAt.UnixMicro()}
}

// access finds the source and store of an upload for this worker. An upload that has ended needs none, and gets nil.
// The access is in use until leave is called.
func (c *crew) access(ctx context.Context, upload sqlrepo.OpenUpload) (*Access, error) {
	if upload.Ended() {
		return nil, nil
	}

	c.mu.Lock()
	known := c.accesses[upload.ID]
	fresh := known != nil && known.is == identityOf(upload.Upload) && time.Now().Before(known.until)
	if fresh {
		c.use(known.access)
	}
	c.mu.Unlock()

	if fresh {
		return known.access, known.err
	}

	access, err := c.Locate(ctx, upload)
	if err != nil {
		access = nil
	}

	// From here on the access has a user, even while it is tidied.
	c.mu.Lock()
	c.use(access)
	c.mu.Unlock()

	if err == nil && c.Roving {
		err = c.tidyOnce(ctx, access)
	}

	if ctx.Err() != nil {
		c.leave(access)
		return nil, context.Cause(ctx)
	}

	// A reason is logged once, not each time the access is looked for.
	if err != nil {
		c.leave(access)
		access = nil
		if known == nil || known.err == nil || known.err.Error() != err.Error() {
			c.Log.Warn("taking no work of an upload", "upload", upload.ID, "reason", err)
		}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.locate(upload.ID, identityOf(upload.Upload), access, err)
	return access, err
}

// locate notes the access of an upload, or why it was not found. Its caller holds mu.
func (c *crew) locate(upload int64, is identity, access *Access, err error) {
	c.use(access)
	if known := c.accesses[upload]; known != nil {
		c.drop(known.access)
	}
	c.accesses[upload] = &located{is, access, err, time.Now().Add(lookAgain)}
}

// keepAccesses drops the accesses of uploads without work left: an open handle keeps a mount from being unmounted.
func (c *crew) keepAccesses(open []sqlrepo.OpenUpload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, known := range c.accesses {
		needed := func(upload sqlrepo.OpenUpload) bool { return upload.ID == id && !upload.Ended() }
		if !slices.ContainsFunc(open, needed) {
			c.drop(known.access)
			delete(c.accesses, id)
		}
	}
}

// use counts another user of an access. Its caller holds mu.
func (c *crew) use(access *Access) {
	if access != nil {
		c.users[access]++
	}
}

// drop counts one user less. A roving worker locates its accesses again from time to time, so it closes an access after
// its last user has dropped it. The caller holds mu.
func (c *crew) drop(access *Access) {
	if access == nil {
		return
	}
	if c.users[access]--; c.users[access] > 0 {
		return
	}
	delete(c.users, access)
	if c.Roving && access.Held != nil {
		_ = access.Held.Close() // nothing was written
	}
}

// leave is like drop for callers that do not hold mu.
func (c *crew) leave(access *Access) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(access)
}

// tidyOnce tidies the store of a space that this worker has not seen yet.
func (c *crew) tidyOnce(ctx context.Context, access *Access) error {
	c.mu.Lock()
	for _, known := range c.accesses {
		if known.access != nil && known.access.Space.ID == access.Space.ID {
			c.mu.Unlock()
			return nil
		}
	}
	c.mu.Unlock()
	return leftovers.Tidy(ctx, c.Repo, access.Store, access.Space, c.Log)
}

// skip gives back work that failed for a reason that would make other work of its upload fail too. A roving worker
// continues with other uploads.
func (c *crew) skip(ctx context.Context, l *lease, what string, failure error) error {
	if !c.Roving {
		return errors.Join(failure, c.giveBack(ctx, l))
	}

	upload := uploadOf(l.unit)
	c.Log.Warn("taking no work of an upload for now", "upload", upload, "work", what, "reason", failure)

	c.mu.Lock()
	if known := c.accesses[upload]; known != nil {
		c.locate(upload, known.is, nil, fmt.Errorf("%w: %w", ErrSkipped, failure))
	}
	clear(c.failing)
	c.mu.Unlock()

	return c.giveBack(ctx, l)
}

func uploadOf(unit sqlrepo.Unit) int64 {
	switch unit := unit.(type) {
	case sqlrepo.Stage:
		return unit.Upload.ID
	case sqlrepo.Shard:
		return unit.Upload
	}
	return 0
}

// isDatabase reports whether the repository could not be used.
func isDatabase(err error) bool {
	return errors.Is(err, sqlrepo.ErrUnavailable) || errors.Is(err, sqlrepo.ErrUnusable) ||
		errors.Is(err, sqlrepo.ErrConflict) || errors.Is(err, sqlrepo.ErrRewound)
}

// isHost reports whether work failed because this host lacks something: the source as a whole, resources, or room
// in the store.
func isHost(err error) bool {
	return errors.Is(err, source.ErrGone) || shortage.Is(err) || errors.Is(err, store.ErrUnusable) ||
		errors.Is(err, source.ErrAbsent) || errors.Is(err, store.ErrAbsent)
}

// isHopeless reports whether work fails however often it is tried.
func isHopeless(err error) bool {
	return errors.Is(err, shard.ErrTooSmall)
}
