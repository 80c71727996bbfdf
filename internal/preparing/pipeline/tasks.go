package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/link"
	"github.com/guppy-prep/guppy/internal/preparing/pack"
	"github.com/guppy-prep/guppy/internal/preparing/plan"
	"github.com/guppy-prep/guppy/internal/preparing/scan"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// task is claimed work. If run returns an error, the worker stops.
type task interface {
	run(ctx context.Context, c *crew, buffers *pack.Buffers) error
}

// packTask packs a shard and leaves the sealing to the sealer.
type packTask struct {
	shard  sqlrepo.Shard
	access *Access
	upload sqlrepo.Upload
}

func (t *packTask) run(ctx context.Context, c *crew, buffers *pack.Buffers) error {
	defer c.leave(t.access)
	l := c.keep(ctx, t.shard, t.shard.Attempts)
	p := &packedShard{shard: t.shard, lease: l, within: scopeOf(t.access, t.upload)}

	packer := pack.Packer{
		Repo: c.Repo, Store: t.access.Store, FS: t.access.FS, Root: t.access.Root, ReadAhead: c.ReadAhead,
		Buffers:  buffers,
		PieceCID: t.upload.PieceCID, Progress: c.Progress, Sent: l.sent, Compare: source.ComparisonOf(t.upload),
	}

	// Work may kill its worker, so it is not tried without end.
	err := c.abandoned(t.shard.Attempts)
	if err == nil {
		owner := leftovers.Owner(t.access.Space, t.shard.Upload, t.shard.Token)
		p.Packed, err = packer.Pack(l.ctx, t.shard, owner, l.progress)
	}

	if err != nil {
		c.sealer.forget(t.shard)
		return c.failed(ctx, l, p.String(), err)
	}

	// From here on the sealer owns the shard and its lease.
	p.forgetDigests()
	c.sealer.add(p)
	return nil
}

// abandoned returns an error for work whose workers died or lost their leases too often. A single death is never
// too often: it may have any reason, and this worker has not tried yet.
func (c *crew) abandoned(attempts int64) error {
	if attempts < int64(c.limits.atLeastTwo()) {
		return nil
	}
	return fmt.Errorf("%d workers that had claimed it were not heard from again", attempts)
}

// stageTask takes an upload through the stages that only one worker at a time can do, up to the next stage that all
// workers share.
type stageTask struct {
	stage  sqlrepo.Stage
	access *Access
	// alive reports progress, and sent reports bytes sent to the store.
	alive, sent func(n int64)
}

func (t *stageTask) run(ctx context.Context, c *crew, _ *pack.Buffers) error {
	defer c.leave(t.access)
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
	t.tidy(ctx, c)
	return nil
}

// next does the present stage and begins the following one:
//
//	Scanning -> Planning -> Packing -> Rescanning -> Linking -> Indexing -> Complete
//	    ^                                  |  |         |
//	    +--- once, if anything moved ------+  +---------+--> Incomplete
//
// Where nothing has changed since the latest complete upload, Scanning leads to Removed instead. All workers pack,
// shard by shard. When the last shard is sealed, Rescanning begins.
//
// The rows of the upload may overrule the stage that is asked for here, see Advance: Rescanning instead of Packing
// if nothing is left to pack, Scanning or Incomplete instead of Linking if entries changed or could not be
// prepared. So the next stage never depends on what an interrupted attempt remembers.
func (t *stageTask) next(ctx context.Context, c *crew) error {
	state := t.stage.Upload.State
	c.Log.Debug("stage", "name", state, "upload", t.stage.Upload.ID)

	var err error
	switch state {
	case sqlrepo.Scanning:
		if err = t.scan(ctx, c); err == nil {
			err = t.planUnlessUnchanged(ctx, c)
		}
	case sqlrepo.Planning:
		err = t.advance(ctx, c, sqlrepo.Packing, t.plan(ctx, c))
	case sqlrepo.Rescanning:
		following, failure := t.lookAgain(ctx, c)
		err = t.advance(ctx, c, following, failure)
	case sqlrepo.Linking:
		err = t.link(ctx, c)
	case sqlrepo.Indexing:
		err = t.index(ctx, c)
	}

	if err != nil {
		return fmt.Errorf("%s: %w", state, err)
	}

	// The board takes over the commit, so the database need not be read for it.
	c.board.put(t.stage.Upload)
	return nil
}

// planUnlessUnchanged begins Planning, or drops the upload if nothing has changed since the latest complete one. The
// source is remembered before either.
func (t *stageTask) planUnlessUnchanged(ctx context.Context, c *crew) error {
	var remembering errgroup.Group
	remembering.Go(func() error { return t.remember(ctx, c) })
	previous, err := c.Repo.Unchanged(ctx, t.stage.Upload)
	if err := remembering.Wait(); err != nil {
		return err
	}

	if errors.Is(err, sqlrepo.ErrNotFound) {
		return t.advance(ctx, c, sqlrepo.Planning, nil)
	}
	if err != nil {
		return err
	}

	removed, err := c.Repo.ConfirmUnchanged(ctx, t.stage, previous.ID)
	if errors.Is(err, sqlrepo.ErrState) { // a repair found it damaged meanwhile
		return t.advance(ctx, c, sqlrepo.Planning, nil)
	}
	if err != nil {
		return err
	}

	// A run says so in its report.
	level := slog.LevelInfo
	if c.Unchanged != nil {
		level = slog.LevelDebug
		c.Unchanged(removed.Upload, previous)
	}
	c.Log.Log(ctx, level, "nothing has changed", "since upload", previous.ID, "dropped upload", removed.Upload.ID)
	t.drop(ctx, c, removed)
	return nil
}

// drop deletes the rows of an upload that counts as removed already. If that fails, guppy gc goes on.
func (t *stageTask) drop(ctx context.Context, c *crew, removed sqlrepo.Stage) {
	remover := removal.New(c.Repo)
	err := remover.DropEntries(ctx, removed)
	if err == nil {
		_, err = remover.FinishRemoval(ctx, removed)
	}
	if err != nil {
		c.Log.Warn("could not remove all rows of an upload: guppy gc --yes does", "upload", removed.Upload.ID, "error", err)
	}

	// There is nothing left to have a lease on.
	t.stage.Upload = removed.Upload
	t.stage.Upload.Token = 0
}

// advance begins the following stage unless the present one has failed.
func (t *stageTask) advance(ctx context.Context, c *crew, following sqlrepo.UploadState, failure error) (err error) {
	if failure != nil {
		return failure
	}
	t.stage, err = c.Repo.Advance(ctx, t.stage, following)
	return err
}

// StoredPattern is the origin of an exclude pattern that was given to an earlier run.
const StoredPattern = "stored with the source"

func (w *Worker) patternOrigin(pattern string) string {
	if w.PatternOrigin == nil {
		return StoredPattern
	}
	return w.PatternOrigin(pattern)
}

func (t *stageTask) scanner(c *crew) (*scan.Scanner, error) {
	options, err := source.ParseOptions(t.stage.Upload.Excludes, t.stage.Upload.SymlinkPolicy)
	if err != nil {
		return nil, err
	}
	return &scan.Scanner{
		Repo: c.Repo, FS: t.access.FS, Root: t.access.Root, Options: options, Progress: c.Progress, Alive: t.alive,
	}, nil
}

func (t *stageTask) scan(ctx context.Context, c *crew) error {
	scanner, err := t.scanner(c)
	if err != nil {
		return err
	}

	if err := scanner.Run(ctx, t.stage); err != nil {
		return absent(err)
	}
	if scanner.Whole && !t.stage.Upload.ScannedAgain {
		scanner.Options.Excludes.WarnOfUnmatched(c.Log, t.access.Root, c.patternOrigin)
	}

	return c.analyze(ctx)
}

// remember records what the source was that was scanned.
func (t *stageTask) remember(ctx context.Context, c *crew) error {
	if t.access.Held == nil {
		return nil
	}
	seen := t.access.Held.Sighting()
	if err := t.access.Held.Present(t.access.Root); err != nil { // another source is there now
		return fmt.Errorf("%w: %w", source.ErrGone, err)
	}
	return c.Repo.RememberSighting(ctx, t.stage, seen)
}

// absent adds source.ErrAbsent to the error of a source that can't be read itself. Entries below the source are blamed
// for their own errors.
func absent(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", source.ErrAbsent, err)
	}
	return err
}

// lookAgain looks at the source once more after all is packed. If names came, went or moved since the scan, the
// whole source is scanned again. If it already was, the new names are only listed.
func (t *stageTask) lookAgain(ctx context.Context, c *crew) (following sqlrepo.UploadState, err error) {
	scanner, err := t.scanner(c)
	if err != nil {
		return 0, err
	}

	moved, err := scanner.Moved(ctx, t.stage.Upload)
	switch {
	case err != nil:
		return 0, err
	case moved && !t.stage.Upload.ScannedAgain:
		return sqlrepo.Scanning, nil
	case moved:
		err = absent(scanner.Run(ctx, t.stage))
	}
	return sqlrepo.Linking, err
}

func (t *stageTask) plan(ctx context.Context, c *crew) error {
	if err := plan.Run(ctx, c.Repo, t.stage, c.Progress, t.alive); err != nil {
		return err
	}
	return c.analyze(ctx)
}

// manyEntries is the number of entries from which the engine's query plans matter.
const manyEntries = 50_000

func (c *crew) analyze(ctx context.Context) error {
	if c.Progress.Entries.Load() < manyEntries {
		return nil
	}
	return c.Repo.Analyze(ctx)
}

// link links the upload and records its root, with which Indexing begins.
func (t *stageTask) link(ctx context.Context, c *crew) error {
	profile, err := unixfs.ParseProfile(t.stage.Upload.Profile)
	if err != nil {
		return err
	}

	linker := link.Linker{
		Repo: c.Repo, Store: t.access.Store, Owner: leftovers.Owner(t.access.Space, t.stage.Upload.ID, t.stage.Upload.Token),
		Within: scopeOf(t.access, t.stage.Upload), Revision: c.sealer.revision(t.access.Space.ID), Profile: profile,
		TempDir: c.TempDir, Progress: c.Progress, Alive: t.alive, Sent: t.sent,
	}

	root, counts, err := linker.Run(ctx, t.stage)
	if errors.Is(err, link.ErrNoRoot) && t.stage.Upload.SkipFailed {
		// The source itself could not be prepared, so there is nothing to complete.
		return t.advance(ctx, c, sqlrepo.Incomplete, nil)
	}

	if err != nil {
		return err
	}

	t.stage, err = c.Repo.BeginIndexing(ctx, t.stage, root, counts)
	return err
}

// index records where the blocks of the upload lie, and completes the upload.
func (t *stageTask) index(ctx context.Context, c *crew) error {
	blocks := c.Progress.Indexed.Load()
	for shard, err := range c.Repo.Uncovered(ctx, t.access.Space.ID, t.stage.Upload.ID) {
		if err != nil {
			return err
		}
		blocks += shard.Nodes
	}
	c.Progress.IndexedTotal.Store(blocks)

	indexer := index.Indexer{
		Repo: c.Repo, Store: t.access.Store, Owner: leftovers.Owner(t.access.Space, t.stage.Upload.ID, t.stage.Upload.Token),
		Space: t.access.Space.ID,
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
	return nil
}

// tidy removes what interrupted workers have left of a complete upload. It does so when the lease has ended: a lease
// whose renewal fails, since there is nothing left to have one on, would interrupt it. The upload is complete, whether
// or not old files can be removed.
func (t *stageTask) tidy(ctx context.Context, c *crew) {
	if t.stage.Upload.State != sqlrepo.Complete {
		return
	}
	if err := leftovers.Tidy(ctx, c.Repo, t.access.Store, t.access.Space, c.Log); err != nil {
		c.Log.Warn("could not remove files of interrupted workers", "error", err)
	}
}
