// Package gc deletes removed uploads: all their rows and shards that no remaining upload of the space needs. It
// works in batches that are small enough not to make others wait, and can be interrupted anywhere.
package gc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// Collector deletes the rows and files that are not needed.
type Collector struct {
	Repo *sqlrepo.Repository
	// Locate returns the store that has an upload's shards.
	Locate func(ctx context.Context, upload sqlrepo.Upload) (store.Store, error)
	// Replicas, if not nil, returns the replicas of an upload's store that are there. What is removed from the store is
	// removed from them too, and indexes that are made again are sent to them.
	Replicas func(ctx context.Context, upload sqlrepo.Upload) ([]index.Replica, error)
	// Others, if not nil, reads the files that only other stores need, before they are removed. Without it, they stay.
	Others *trash.Others
	// TempDir is where the entries of very large directories are sorted.
	TempDir string
	// Lease is how long a silent process keeps a removal; 0 means a minute.
	Lease time.Duration
	Log   *slog.Logger
	// KeepFiles holds Removed uploads whose files stay in their stores. The stores are not accessed: they may be
	// gone.
	KeepFiles map[int64]bool
	// Deleted, if not nil, is called after each transaction with the number of rows that it deleted.
	Deleted func(rows int64)
	// Progress may be nil.
	Progress *progress.Task

	// planned holds the needs that Plan has found, by space.
	planned map[int64]*neededBlocks
}

func (c *Collector) remover() *removal.Remover { return removal.New(c.Repo) }

// Summary counts what a removal deletes, and what it keeps because other uploads need it.
type Summary struct {
	Uploads, Entries, Shards, Nodes int64
	// Files and Bytes count the deleted files of stores.
	Files, Bytes int64
	// KeptEntries and KeptShards belong to removed uploads and stay.
	KeptEntries, KeptShards int64
	// Rows is the number of deleted rows.
	Rows int64
}

// Plan returns what the removal of some uploads of a space would delete. The uploads may be Removed or not. The next
// Collect of the space reuses what Plan has found.
func (c *Collector) Plan(ctx context.Context, space int64, uploads []sqlrepo.Upload) (s Summary, err error) {
	view, err := c.remover().ViewSpace(ctx, space)
	if err != nil {
		return s, err
	}

	remaining := without(view.Uploads, uploads)
	needed, keeps := newNeededBlocks(c, space), map[int64]bool{}
	c.Progress.Begin("looking for what is removed", "entry")
	for _, upload := range uploads {
		c.Progress.Expect(upload.Found, 0)
	}
	for _, upload := range uploads {
		for run, err := range c.remover().EntryRuns(ctx, upload.ID, sharers(upload, remaining)) {
			if err != nil {
				return s, err
			}
			c.Progress.Add(int64(len(run.Unshared)+len(run.Shared)), 0)

			s.Entries += int64(len(run.Unshared))
			s.KeptEntries += int64(len(run.Shared))
			keeps[upload.ID] = keeps[upload.ID] || len(run.Shared) > 0
			if err := needed.addSegments(ctx, run.Shared); err != nil {
				return s, err
			}
		}
	}

	c.Progress.Settle() // an earlier run may have removed a part of them

	// The space may change while its uploads are walked. It is then viewed again.
	err = untilUnchanged(ctx, func() error {
		view, err := c.remover().ViewSpace(ctx, space)
		if err != nil {
			return err
		}
		return needed.update(ctx, without(view.Uploads, uploads))
	})
	if err != nil {
		return s, err
	}

	if c.planned == nil {
		c.planned = map[int64]*neededBlocks{}
	}

	c.planned[space] = needed
	for _, upload := range uploads {
		kept := s.KeptShards
		if err := c.planShards(ctx, upload, needed.shards, &s); err != nil {
			return s, err
		}
		// The row of an upload goes with the last of what it has.
		if s.KeptShards == kept && !keeps[upload.ID] {
			s.Uploads++
		}
	}
	return s, nil
}

func (c *Collector) planShards(ctx context.Context, upload sqlrepo.Upload, needed map[int64]struct{},
	s *Summary) error {
	for shard, err := range c.Repo.Shards(ctx, upload.ID, sqlrepo.ShardFilter{}) {
		if err != nil {
			return err
		}
		if _, stays := needed[shard.ID]; stays {
			s.KeptShards++
			continue
		}

		s.Shards++
		s.Nodes += shard.Nodes
		if hasFile(shard) && !c.KeepFiles[upload.ID] {
			s.Files++
			s.Bytes += shard.Size
		}
	}
	return nil
}

// Collect continues the removal of all Removed uploads of a space that no other process has claimed. It returns
// sqlrepo.ErrAtWork while an upload of the space is being linked: shards are removed only after that. It returns
// store.ErrAbsent if files are in stores that are not there. The shards of those files stay, and everything else
// is done.
func (c *Collector) Collect(ctx context.Context, space int64) (s Summary, err error) {
	removed, err := c.remover().RemovedUploads(ctx, space)
	if err != nil {
		return s, err
	}

	// All removals of the space are claimed first: they are done together, since the needs are the same for all.
	var claimed []*cleanup
	defer func() {
		for _, r := range claimed {
			err = errors.Join(err, r.stop(ctx))
		}
	}()

	for _, upload := range removed {
		r, err := c.claim(ctx, upload, &s)
		if errors.Is(err, sqlrepo.ErrNothingToClaim) {
			c.Log.Info("another process is removing an upload", "upload", upload.ID, "worker", upload.Worker)
			continue
		}
		if err != nil {
			return s, err
		}
		claimed = append(claimed, r)
	}
	return s, c.collect(ctx, space, claimed)
}

func (c *Collector) collect(ctx context.Context, space int64, claimed []*cleanup) error {
	needs := c.takeNeeds(space)
	c.Progress.Begin("removing entries", "entry")
	for _, r := range claimed {
		c.Progress.Expect(r.stage.Upload.Found, 0)
	}
	for _, r := range claimed {
		if err := r.removeEntries(needs); err != nil {
			return err
		}
	}

	c.Progress.Settle() // an earlier run may have removed a part of them

	// Others may seal shards while the uploads are walked, but fewer each time.
	if err := untilUnchanged(ctx, func() error { return c.condemn(ctx, needs, claimed) }); err != nil {
		return err
	}

	for _, r := range claimed {
		if err := r.remover().DropNeedlessIndexes(r.ctx, r.stage); err != nil {
			return err
		}
	}

	c.Progress.Begin("indexing the shards that stay", "")
	// Shards that stay get new indexes before the indexes that covered them are removed.
	failed := c.Keep(ctx, space)
	if unlessAbsent(failed) != nil {
		return failed
	}

	c.Progress.Begin("removing shards", "shard")
	for _, r := range claimed {
		if err := r.expectCondemned(); err != nil {
			return errors.Join(failed, err)
		}
	}
	for _, r := range claimed {
		err := r.removeCondemned()
		failed = errors.Join(failed, err)
		if unlessAbsent(err) != nil {
			return failed
		}
	}
	return failed
}

// unlessAbsent returns nil for an error that concerns one store only, and any other error as it is.
func unlessAbsent(err error) error {
	if errors.Is(err, store.ErrAbsent) {
		return nil
	}
	return err
}

// Keep indexes shards of a space again whose indexes were given up, and removes those indexes.
func (c *Collector) Keep(ctx context.Context, space int64) error {
	keeper := index.Keeper{
		Repo: c.Repo, Locate: c.locate, Replicas: c.replicas, Others: c.Others,
		Unsent: func(_ index.Replica, reason error) {
			c.Log.Warn("a new index was not sent to a replica: the next guppy prepare, worker or store sync sends it",
				"reason", reason)
		},
	}
	if err := keeper.Keep(ctx, space); err != nil {
		return fmt.Errorf("indexes: %w", err)
	}
	return nil
}

// locate returns the store of an upload. For an upload whose files stay, it returns a store that keeps nothing.
func (c *Collector) locate(ctx context.Context, upload sqlrepo.Upload) (store.Store, error) {
	if upload.State == sqlrepo.Removed && c.KeepFiles[upload.ID] {
		return store.NewNone(c.TempDir), nil
	}
	return c.Locate(ctx, upload)
}

// replicas returns the replicas of an upload's store, or none if the files of the upload stay.
func (c *Collector) replicas(ctx context.Context, upload sqlrepo.Upload) ([]index.Replica, error) {
	if c.Replicas == nil || upload.State == sqlrepo.Removed && c.KeepFiles[upload.ID] {
		return nil, nil
	}
	return c.Replicas(ctx, upload)
}

// firstPause and longestPause bound how long a removal waits before it looks at a space again.
const (
	firstPause   = 10 * time.Millisecond
	longestPause = time.Second
)

// untilUnchanged calls look until the error is not sqlrepo.ErrSpaceChanged.
func untilUnchanged(ctx context.Context, look func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := look()
		if !errors.Is(err, sqlrepo.ErrSpaceChanged) {
			return err
		}
		if err := wait(ctx, rand.N(pause)); err != nil {
			return err
		}
	}
}

// condemn brings the needs up to date, and condemns the shards that are not among them. It returns
// sqlrepo.ErrSpaceChanged if others have sealed shards or removed uploads meanwhile.
func (c *Collector) condemn(ctx context.Context, needs *neededBlocks, claimed []*cleanup) error {
	var waiting []*cleanup
	for _, r := range claimed {
		more, err := r.hasShards()
		if err != nil {
			return err
		}
		if more {
			waiting = append(waiting, r)
		}
	}
	if len(waiting) == 0 {
		return nil
	}

	// The walk takes long. It is only done if shards wait for it.
	view, err := c.remover().ViewSpace(ctx, needs.space)
	if err != nil {
		return err
	}

	c.Log.Debug("finding the shards that other uploads need", "space", needs.space, "uploads", len(view.Uploads))
	if err := needs.update(ctx, view.Uploads); err != nil {
		return err
	}

	for _, r := range waiting {
		if err := r.condemn(&view, needs.shards); err != nil {
			return err
		}
	}
	return nil
}

// sharers returns the uploads that may share entries with an upload: the later ones of its source.
func sharers(upload sqlrepo.Upload, remaining []sqlrepo.Upload) (ids []int64) {
	for _, other := range remaining {
		if other.Source == upload.Source && other.ID > upload.ID {
			ids = append(ids, other.ID)
		}
	}
	return ids
}

func without(all, excluded []sqlrepo.Upload) (rest []sqlrepo.Upload) {
	out := map[int64]bool{}
	for _, upload := range excluded {
		out[upload.ID] = true
	}
	for _, upload := range all {
		if !out[upload.ID] {
			rest = append(rest, upload)
		}
	}
	return rest
}

// Mark is like sqlrepo.RemoveUpload, but first releases the lease of a process of this host that is gone.
func (c *Collector) Mark(ctx context.Context, upload sqlrepo.Upload) error {
	if _, err := leftovers.Release(ctx, c.Repo, sqlrepo.Stage{Upload: upload}); err != nil {
		return err
	}
	return c.remover().RemoveUpload(ctx, upload.ID)
}

// MarkDecided is like Mark but fails with removal.ErrOutdated if what the removal was decided from has changed.
func (c *Collector) MarkDecided(ctx context.Context, upload sqlrepo.Upload, decision removal.Decision) error {
	return c.remover().RemoveDecided(ctx, upload.ID, decision)
}

// claim claims the removal of an upload. It first releases the lease of a process of this host that is gone.
func (c *Collector) claim(ctx context.Context, upload sqlrepo.Upload, s *Summary) (*cleanup, error) {
	if _, err := leftovers.Release(ctx, c.Repo, sqlrepo.Stage{Upload: upload}); err != nil {
		return nil, err
	}
	term := c.Lease
	if term == 0 {
		term = time.Minute
	}
	stage, err := c.Repo.ClaimRemoval(ctx, sqlrepo.Claim{Worker: presence.Name(), Term: term}, upload.ID)
	if err != nil {
		return nil, fmt.Errorf("upload %d: %w", upload.ID, err)
	}
	return c.begin(ctx, stage, term, s), nil
}
