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

// Site is what a worker needs to work on an upload.
type Site struct {
	Space sqlrepo.Space
	Store store.Store
	FS    source.FS
	// Root is the path of the source on this host.
	Root string
	// Held, if not nil, is the handle through which FS reads the source. Its sighting is kept in the repository. A
	// roving worker closes the handle when nothing uses it any longer.
	Held *source.Held
}

// lookAgain is how long a worker relies on the site that it found for an upload. A mount may come or go.
const lookAgain = 30 * time.Second

// ErrSkipped is returned for an upload that a worker skips, because a failure would make other work of the upload fail
// too.
var ErrSkipped = errors.New("upload skipped on this host")

// located is the site of an upload, or the reason why it was not found.
type located struct {
	site  *Site
	err   error
	until time.Time
}

// site finds the source and store of an upload for this worker. An upload that has ended needs none, and gets nil.
// The site is in use until leave is called.
func (c *crew) site(ctx context.Context, upload sqlrepo.OpenUpload) (*Site, error) {
	if upload.Ended() {
		return nil, nil
	}

	c.mu.Lock()
	known := c.sites[upload.ID]
	fresh := known != nil && time.Now().Before(known.until)
	if fresh {
		c.use(known.site)
	}
	c.mu.Unlock()

	if fresh {
		return known.site, known.err
	}

	site, err := c.Locate(ctx, upload)
	if err != nil {
		site = nil
	}

	// From here on the site has a user, even while it is tidied.
	c.mu.Lock()
	c.use(site)
	c.mu.Unlock()

	if err == nil && c.Roving {
		err = c.tidyOnce(ctx, site)
	}

	if ctx.Err() != nil {
		c.leave(site)
		return nil, context.Cause(ctx)
	}

	// A reason is logged once, not each time the site is looked for.
	if err != nil {
		c.leave(site)
		site = nil
		if known == nil || known.err == nil || known.err.Error() != err.Error() {
			c.Log.Warn("taking no work of an upload", "upload", upload.ID, "reason", err)
		}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.locate(upload.ID, site, err)
	return site, err
}

// locate notes the site of an upload, or why it was not found. Its caller holds mu.
func (c *crew) locate(upload int64, site *Site, err error) {
	c.use(site)
	if known := c.sites[upload]; known != nil {
		c.drop(known.site)
	}
	c.sites[upload] = &located{site, err, time.Now().Add(lookAgain)}
}

// keepSites drops the sites of uploads without work left: an open handle keeps a mount from being unmounted.
func (c *crew) keepSites(open []sqlrepo.OpenUpload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, known := range c.sites {
		needed := func(upload sqlrepo.OpenUpload) bool { return upload.ID == id && !upload.Ended() }
		if !slices.ContainsFunc(open, needed) {
			c.drop(known.site)
			delete(c.sites, id)
		}
	}
}

// use counts another user of a site. Its caller holds mu.
func (c *crew) use(site *Site) {
	if site != nil {
		c.users[site]++
	}
}

// drop counts one user less. A roving worker locates its sites again from time to time, so it closes a site after
// its last user has dropped it. The caller holds mu.
func (c *crew) drop(site *Site) {
	if site == nil {
		return
	}
	if c.users[site]--; c.users[site] > 0 {
		return
	}
	delete(c.users, site)
	if c.Roving && site.Held != nil {
		_ = site.Held.Close() // nothing was written
	}
}

// leave is like drop for callers that do not hold mu.
func (c *crew) leave(site *Site) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(site)
}

// tidyOnce tidies the store of a space that this worker has not seen yet.
func (c *crew) tidyOnce(ctx context.Context, site *Site) error {
	c.mu.Lock()
	for _, known := range c.sites {
		if known.site != nil && known.site.Space.ID == site.Space.ID {
			c.mu.Unlock()
			return nil
		}
	}
	c.mu.Unlock()
	return leftovers.Tidy(ctx, c.Repo, site.Store, site.Space, c.Log)
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
	c.locate(upload, nil, fmt.Errorf("%w: %w", ErrSkipped, failure))
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
		errors.Is(err, sqlrepo.ErrConflict)
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
