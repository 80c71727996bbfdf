package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// cleanup is the removal of one upload, under a lease. Its context ends when the lease is lost.
type cleanup struct {
	*Collector
	ctx     context.Context //nolint:containedctx // it ends with the lease
	cancel  context.CancelCauseFunc
	stage   sqlrepo.Stage
	stopped chan struct{}
	sum     *Summary
	// keptEntries and keptShards count the rows that stay.
	keptEntries, keptShards int64
}

// begin starts to renew the lease, until stop is called.
func (c *Collector) begin(ctx context.Context, stage sqlrepo.Stage, term time.Duration, sum *Summary) *cleanup {
	r := &cleanup{Collector: c, stage: stage, stopped: make(chan struct{}), sum: sum}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(r.stopped)
		err := presence.Beat(r.ctx, term, func() error { return c.Repo.Renew(r.ctx, stage, term, 0) })
		if err != nil {
			r.cancel(err)
		}
	}()
	return r
}

// stopTimeout bounds the time for giving the lease back.
const stopTimeout = 5 * time.Second

// stop gives the lease back. If nothing of the upload is left, it deletes its row.
func (r *cleanup) stop(ctx context.Context) error {
	cause := context.Cause(r.ctx)
	r.sum.KeptEntries += r.keptEntries
	r.sum.KeptShards += r.keptShards
	r.cancel(nil)
	<-r.stopped
	if cause != nil && ctx.Err() == nil {
		return fmt.Errorf("removal of upload %d: %w", r.stage.Upload.ID, cause)
	}

	// The lease is given back even if ctx has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()

	finished, err := r.remover().FinishRemoval(ctx, r.stage)
	if finished {
		r.sum.Uploads++
		r.deleted(1)
	}
	return err
}

func (r *cleanup) deleted(rows int64) {
	r.sum.Rows += rows
	if r.Deleted != nil {
		r.Deleted(rows)
	}
}

// pause leaves the database to others for as long as the last transaction took.
func (r *cleanup) pause(began time.Time) error {
	return wait(r.ctx, time.Since(began))
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// removeEntries deletes the entries that no remaining upload shares.
func (r *cleanup) removeEntries(needs *neededBlocks) error {
	for run, err := range r.remover().EntryRuns(r.ctx, r.stage.Upload.ID, nil) {
		if err != nil {
			return err
		}
		shared, err := r.removeRun(run)
		if err != nil {
			return err
		}

		// The shards with segments of shared entries are needed as well: they hold the digests of the chunks.
		r.keptEntries += int64(len(shared))
		r.Progress.Add(int64(len(shared)), 0)
		if err := needs.addSegments(r.ctx, shared); err != nil {
			return err
		}
	}
	return nil
}

// removeRun deletes a run of entries. It returns the shared ones, which stay.
func (r *cleanup) removeRun(run removal.EntryRun) (shared []int64, err error) {
	for len(run.Unshared) > 0 {
		began := time.Now()
		remaining, removed, rows, err := r.remover().RemoveEntries(r.ctx, r.stage, run)
		if err != nil {
			return nil, err
		}

		run = remaining
		r.sum.Entries += int64(removed)
		r.Progress.Add(int64(removed), 0)
		r.deleted(rows)
		if err := r.pause(began); err != nil {
			return nil, err
		}
	}
	return run.Shared, nil
}

// hasShards reports whether shards are left that are not condemned yet.
func (r *cleanup) hasShards() (bool, error) {
	for shard, err := range r.Repo.Shards(r.ctx, r.stage.Upload.ID, sqlrepo.ShardFilter{}) {
		if err != nil || shard.State != sqlrepo.ShardRemoving {
			return err == nil, err
		}
	}
	return false, nil
}

// expectCondemned counts the shards that are condemned as work to do.
func (r *cleanup) expectCondemned() error {
	removing := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardRemoving}}
	for shard, err := range r.Repo.Shards(r.ctx, r.stage.Upload.ID, removing) {
		if err != nil {
			return err
		}
		r.Progress.Expect(1, shard.Size)
	}
	return nil
}

// removeCondemned deletes the shards that were condemned, now or by an earlier run.
func (r *cleanup) removeCondemned() error {
	for {
		shards, err := r.condemned()
		if err != nil || len(shards) == 0 {
			return err
		}

		// The rows go last. If the process ends in between, the next one finds the files by them.
		if err := r.removeFiles(shards); err != nil {
			return err
		}

		for _, shard := range shards {
			if err := r.removeNodes(shard); err != nil {
				return err
			}
			r.Progress.Add(1, shard.Size)
		}
	}
}

// shardsAtOnce is the number of shards condemned in one transaction, which rewrites their rows.
const shardsAtOnce = 100

// condemn marks for removal the shards that no upload needs.
func (r *cleanup) condemn(view *removal.SpaceView, needed map[int64]struct{}) error {
	var ids []int64
	condemn := func() error {
		err := r.remover().Condemn(r.ctx, r.stage, view, ids)
		ids = ids[:0]
		return err
	}

	// condemn may be called again after the space has changed. Each call counts from zero.
	r.keptShards = 0
	for shard, err := range r.Repo.Shards(r.ctx, r.stage.Upload.ID, sqlrepo.ShardFilter{}) {
		if err != nil {
			return err
		}
		if _, stays := needed[shard.ID]; stays {
			r.keptShards++
			continue
		}

		if shard.State == sqlrepo.ShardRemoving {
			continue
		}
		if ids = append(ids, shard.ID); len(ids) == shardsAtOnce {
			if err := condemn(); err != nil {
				return err
			}
		}
	}

	if len(ids) == 0 {
		return nil
	}
	return condemn()
}

// condemned returns the next shards to delete.
func (r *cleanup) condemned() (shards []sqlrepo.Shard, err error) {
	removing := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardRemoving}}
	for shard, err := range r.Repo.Shards(r.ctx, r.stage.Upload.ID, removing) {
		if err != nil {
			return nil, err
		}
		if shards = append(shards, shard); len(shards) == shardsAtOnce {
			break
		}
	}
	return shards, nil
}

// hasFile reports whether a store has the bytes of a shard.
func hasFile(s sqlrepo.Shard) bool { return len(s.Digest) > 0 && s.Store != store.NoneIdentity }

func (r *cleanup) removeFiles(shards []sqlrepo.Shard) error {
	if r.KeepFiles[r.stage.Upload.ID] || !slices.ContainsFunc(shards, hasFile) {
		return nil
	}
	files, err := r.Locate(r.ctx, r.stage.Upload)
	if err != nil {
		id := r.stage.Upload.ID
		return fmt.Errorf("upload %d is not removed completely: %w. If that store is gone for good, guppy upload rm %d "+
			"--keep-files --yes removes the rest", id, err, id)
	}

	space, err := r.Repo.SpaceOf(r.ctx, r.stage.Upload.ID)
	if err != nil {
		return err
	}
	bin, err := trash.Find(r.ctx, r.Repo, files, space)
	if err != nil {
		return err
	}
	bin.Others = r.Others

	began, sizes, names := time.Now(), map[string]int64{}, []string{}
	for _, s := range shards {
		if hasFile(s) {
			name := shard.Name([32]byte(s.Digest))
			names, sizes[name] = append(names, name), s.Size
		}
	}

	// Files that other rows name in the store are not removed.
	removed, err := bin.Remove(r.ctx, names)
	for _, name := range removed {
		r.sum.Files++
		r.sum.Bytes += sizes[name]
	}
	if err == nil {
		err = r.removeCopies(space, names)
	}
	if err != nil {
		return err
	}
	return r.pause(began)
}

// removeCopies removes files from the replicas of the upload's store. What is in a replica that is away is a stray when
// it comes back.
func (r *cleanup) removeCopies(space int64, names []string) error {
	if r.Replicas == nil {
		return nil
	}
	replicas, err := r.Replicas(r.ctx, r.stage.Upload)
	if err != nil {
		return err
	}
	return index.RemoveCopies(r.ctx, r.Repo, replicas, r.Others, space, names)
}

// removeNodes deletes a shard with its nodes.
func (r *cleanup) removeNodes(s sqlrepo.Shard) error {
	for {
		began := time.Now()
		removed, rows, err := r.remover().RemoveNodes(r.ctx, r.stage, s.ID)
		if err != nil {
			return errors.Join(fmt.Errorf("shard %d of upload %d", s.Ordinal, s.Upload), err)
		}

		r.sum.Nodes += rows
		r.deleted(rows)
		if err := r.pause(began); err != nil {
			return err
		}

		if removed {
			r.sum.Nodes-- // the row of the shard itself
			r.sum.Shards++
			return nil
		}
	}
}
