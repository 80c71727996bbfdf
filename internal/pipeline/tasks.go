package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/index"
	"github.com/guppy-prep/guppy/internal/link"
	"github.com/guppy-prep/guppy/internal/pack"
	"github.com/guppy-prep/guppy/internal/plan"
	"github.com/guppy-prep/guppy/internal/scan"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// task is work that was claimed. An error of run has the worker stop.
type task interface {
	run(ctx context.Context, c *crew, buffers *pack.Buffers) error
}

// packTask packs a shard and leaves it to the sealer.
type packTask struct {
	shard  sqlrepo.Shard
	site   *Site
	upload sqlrepo.Upload
}

func (t *packTask) run(ctx context.Context, c *crew, buffers *pack.Buffers) error {
	defer c.leave(t.site)
	l := c.keep(ctx, t.shard, t.shard.Attempts)
	p := &packedShard{shard: t.shard, lease: l, within: within(t.site, t.upload)}
	packer := pack.Packer{
		Repo: c.Repo, Store: t.site.Store, FS: t.site.FS, Root: t.site.Root, ReadAhead: c.ReadAhead, Buffers: buffers,
		PieceCID: t.upload.PieceCID, Progress: c.Progress, Sent: l.sent,
	}
	err := c.abandoned(t.shard.Attempts)
	if err == nil {
		p.Packed, err = packer.Pack(l.ctx, t.shard, owner(t.site.Space, t.shard.Upload, t.shard.Token), l.progress)
	}
	if err != nil {
		c.sealer.forget(t.shard)
		return c.failed(ctx, l, p.String(), err)
	}
	p.forgetDigests()
	c.sealer.add(p)
	return nil
}

// abandoned gives work up whose workers died, or lost it, too often. One death is never too often: the reason may be
// anything, and this worker has not tried yet.
func (c *crew) abandoned(attempts int64) error {
	if attempts < int64(c.limits.atLeastTwo()) {
		return nil
	}
	return fmt.Errorf("%d workers that had it were not heard of again", attempts)
}

// stageTask takes an upload through stages that one worker at a time does, up to the next one that all share.
type stageTask struct {
	stage sqlrepo.Stage
	site  *Site
	// alive tells that there is progress, sent that bytes went to the store.
	alive, sent func(n int64)
}

func (t *stageTask) run(ctx context.Context, c *crew, _ *pack.Buffers) error {
	defer c.leave(t.site)
	l := c.keep(ctx, t.stage, t.stage.Upload.Attempts)
	t.alive, t.sent = l.progress, l.sent
	err := c.abandoned(t.stage.Upload.Attempts)
	for err == nil && t.stage.Upload.Token != 0 {
		err = t.next(l.ctx, c)
	}
	if err != nil {
		return c.failed(ctx, l, fmt.Sprintf("%s upload %d", t.stage.Upload.State, t.stage.Upload.ID), err)
	}
	l.stop()
	c.succeeded()
	return nil
}

// next does the present stage and records which one follows.
func (t *stageTask) next(ctx context.Context, c *crew) error {
	c.Log.Debug("stage", "name", t.stage.Upload.State, "upload", t.stage.Upload.ID)
	following, err := sqlrepo.Complete, error(nil)
	switch t.stage.Upload.State {
	case sqlrepo.Scanning:
		following, err = sqlrepo.Planning, t.scan(ctx, c)
	case sqlrepo.Planning:
		following, err = sqlrepo.Packing, t.plan(ctx, c)
	case sqlrepo.Rescanning:
		following, err = t.rescan(ctx, c)
	case sqlrepo.Linking:
		following, err = t.link(ctx, c)
	case sqlrepo.Indexing:
		err = t.index(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.stage.Upload.State, err)
	}
	if following != sqlrepo.Complete && following != sqlrepo.Indexing {
		if t.stage, err = c.Repo.Advance(ctx, t.stage, following); err != nil {
			return err
		}
	}
	c.board.put(t.stage.Upload)
	return nil
}

func (t *stageTask) scanner(c *crew) (*scan.Scanner, error) {
	excludes, err := source.ParseExcludes(t.stage.Upload.Excludes)
	if err != nil {
		return nil, err
	}
	policy, err := source.ParseSymlinkPolicy(t.stage.Upload.SymlinkPolicy)
	if err != nil {
		return nil, err
	}
	return &scan.Scanner{
		Repo: c.Repo, FS: t.site.FS, Root: t.site.Root, Progress: c.Progress, Alive: t.alive,
		Options: source.Options{Excludes: excludes, Symlinks: policy},
	}, nil
}

func (t *stageTask) scan(ctx context.Context, c *crew) error {
	scanner, err := t.scanner(c)
	if err != nil {
		return err
	}
	err = scanner.Run(ctx, t.stage)
	if errors.Is(err, fs.ErrPermission) { // of the source itself: what is below it is blamed on the entries
		return fmt.Errorf("%w: %w", ErrOutOfSight, err)
	}
	if err != nil {
		return err
	}
	if t.site.Held != nil {
		if err := c.Repo.RememberSighting(ctx, t.stage, t.site.Held.Sighting()); err != nil {
			return err
		}
	}
	return c.analyze(ctx)
}

// rescan looks at entries that changed while they were packed, and tells what comes next.
func (t *stageTask) rescan(ctx context.Context, c *crew) (sqlrepo.UploadState, error) {
	scanner, err := t.scanner(c)
	if err != nil {
		return 0, err
	}
	var counting errgroup.Group
	var failed int64
	counting.Go(func() (err error) {
		failed, err = c.Repo.CountEntries(ctx, t.stage.Upload.ID, sqlrepo.Failed)
		return err
	})
	again, err := scanner.Again(ctx, t.stage)
	if err := errors.Join(err, counting.Wait()); again > 0 || err != nil {
		return sqlrepo.Planning, err // what was counted meanwhile may have changed
	}
	if failed > 0 && !t.stage.Upload.SkipFailed {
		return sqlrepo.Incomplete, err
	}
	return sqlrepo.Linking, err
}

func (t *stageTask) plan(ctx context.Context, c *crew) error {
	if err := plan.Run(ctx, c.Repo, t.stage, c.Progress, t.alive); err != nil {
		return err
	}
	return c.analyze(ctx)
}

// manyEntries are so many that it matters how the engine reads them.
const manyEntries = 50_000

func (c *crew) analyze(ctx context.Context) error {
	if c.Progress.Entries.Load() < manyEntries {
		return nil
	}
	return c.Repo.Analyze(ctx)
}

func (t *stageTask) link(ctx context.Context, c *crew) (sqlrepo.UploadState, error) {
	profile, err := unixfs.ParseProfile(t.stage.Upload.Profile)
	if err != nil {
		return 0, err
	}
	linker := link.Linker{
		Repo: c.Repo, Store: t.site.Store, Owner: owner(t.site.Space, t.stage.Upload.ID, t.stage.Upload.Token),
		Within: within(t.site, t.stage.Upload), Revision: c.sealer.revision(t.site.Space.ID), Profile: profile,
		TempDir: c.TempDir, Progress: c.Progress, Alive: t.alive, Sent: t.sent,
	}
	root, counts, err := linker.Run(ctx, t.stage)
	if errors.Is(err, link.ErrNoRoot) && t.stage.Upload.SkipFailed {
		return sqlrepo.Incomplete, nil
	}
	if err != nil {
		return 0, err
	}
	t.stage, err = c.Repo.BeginIndexing(ctx, t.stage, root, counts)
	return sqlrepo.Indexing, err
}

// index tells where the blocks of the upload lie, and completes it.
func (t *stageTask) index(ctx context.Context, c *crew) error {
	indexer := index.Indexer{
		Repo: c.Repo, Store: t.site.Store, Owner: owner(t.site.Space, t.stage.Upload.ID, t.stage.Upload.Token),
		Space: t.site.Space.ID,
		Alive: func(n int64) {
			c.Progress.Indexed.Add(n)
			t.alive(n)
		},
	}
	completed, err := indexer.Run(ctx, t.stage)
	if err != nil {
		return err
	}
	t.stage.Upload = completed
	if c.Completed != nil {
		c.Completed(t.stage.Upload)
	}
	if err := tidy(ctx, c.Repo, t.site.Store, t.site.Space, c.Log); err != nil {
		c.Log.Warn("could not remove what interrupted workers left", "error", err)
	}
	return nil
}
