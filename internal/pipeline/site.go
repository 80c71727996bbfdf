package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/internal/scan"
	"github.com/guppy-prep/guppy/internal/shard"
	"github.com/guppy-prep/guppy/internal/shortage"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrOutOfSight is returned for an upload whose source or store this worker can't see.
var ErrOutOfSight = errors.New("out of sight")

// lookAgain is how long a worker takes what it has found of an upload's site for granted: a mount may come or go.
const lookAgain = 30 * time.Second

// located is where an upload's site was found, or why it was not.
type located struct {
	site  *Site
	err   error
	until time.Time
}

// site finds where an upload's source and store are for this worker. Nobody needs that of an upload that has ended.
func (c *crew) site(ctx context.Context, upload sqlrepo.OpenUpload) (*Site, error) {
	if upload.Ended() {
		return nil, nil
	}
	c.mu.Lock()
	known := c.sites[upload.ID]
	c.mu.Unlock()
	if known != nil && time.Now().Before(known.until) {
		return known.site, known.err
	}
	site, err := c.Locate(ctx, upload)
	if err == nil && c.Roving {
		err = c.tidyOnce(ctx, site)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		site = nil
		if known == nil || known.err == nil || known.err.Error() != err.Error() {
			c.Log.Warn("takes no work of an upload", "upload", upload.ID, "reason", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sites[upload.ID] = &located{site, err, time.Now().Add(lookAgain)}
	return site, err
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
	return tidy(ctx, c.Repo, site.Store, site.Space, c.Log)
}

// outOfSight gives back work that failed for a reason which would have other work of its upload fail too. A worker that has
// other uploads goes on with those.
func (c *crew) outOfSight(ctx context.Context, l *lease, what string, failure error) error {
	if !c.Roving {
		return errors.Join(failure, c.giveBack(ctx, l))
	}
	upload := uploadOf(l.unit)
	c.Log.Warn("takes no more work of an upload for now", "upload", upload, "work", what, "reason", failure)
	c.mu.Lock()
	c.sites[upload] = &located{nil, fmt.Errorf("%w: %w", ErrOutOfSight, failure), time.Now().Add(lookAgain)}
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

// isDatabase tells whether the repository could not be used.
func isDatabase(err error) bool {
	return errors.Is(err, sqlrepo.ErrUnavailable) || errors.Is(err, sqlrepo.ErrUnusable) || errors.Is(err, sqlrepo.ErrConflict)
}

// isHost tells whether work failed for want of something on this host: the source as a whole, resources, space in the
// store.
func isHost(err error) bool {
	return errors.Is(err, source.ErrGone) || shortage.Is(err) || errors.Is(err, store.ErrUnusable) ||
		errors.Is(err, ErrOutOfSight)
}

// isHopeless tells whether work fails however often it is tried.
func isHopeless(err error) bool {
	return errors.Is(err, shard.ErrTooSmall) || errors.Is(err, scan.ErrPathTooLong)
}
