package sqlrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// SpaceView is the state of a space when a removal began to find out which of its shards are needed.
type SpaceView struct {
	Space    int64
	Revision int64
	// Needs is a counter that every change of who needs what raises.
	Needs int64
	// Uploads are the uploads that were not Removed, by key.
	Uploads []Upload
}

func (v SpaceView) find(id int64) (upload Upload, found bool) {
	at, found := slices.BinarySearchFunc(v.Uploads, id, func(u Upload, id int64) int { return cmp.Compare(u.ID, id) })
	if found {
		upload = v.Uploads[at]
	}
	return upload, found
}

// ViewSpace returns the present view of a space, before its uploads are gone through.
func (r *Repository) ViewSpace(ctx context.Context, space int64) (view SpaceView, err error) {
	view.Space = space

	err = r.db.Retry(ctx, "look at the revision", func() error {
		var row struct{ Revision, Needs int64 }
		err := r.db.Reader.Get(ctx, &row,
			sq.Select("revision", "needs").From("spaces").Where(sq.Eq{"id": space}))
		view.Revision, view.Needs = row.Revision, row.Needs
		return err
	})
	if err != nil {
		return view, err
	}

	// The comparison with the view finds what changes between the two queries.
	err = r.db.ReadAll(ctx, "list uploads", &view.Uploads, sq.Select(schema.UploadFields...).From("uploads").
		Where(schema.InSpace(space)).Where(sq.NotEq{"state": Removed}).OrderBy("id"))
	return view, err
}

// Holders adds to found the keys of the packed shards that hold any of the given blocks.
func (r *Repository) Holders(ctx context.Context, within Scope, digests []Digest, found map[int64]struct{}) error {
	_, err := r.HoldersAmong(ctx, within, digests, found)
	return err
}

// HoldersAmong is like Holders and also returns the blocks that no such shard holds.
func (r *Repository) HoldersAmong(ctx context.Context, within Scope, digests []Digest,
	found map[int64]struct{}) (lacking []Digest, err error) {
	err = r.db.Retry(ctx, "look for the shards of blocks", func() error {
		held := make(map[Digest]struct{}, len(digests))
		lacking = nil
		err := r.probe(ctx, within, digests, func(digest Digest, shard int64) {
			held[digest], found[shard] = struct{}{}, struct{}{}
		})

		for _, digest := range digests {
			if _, ok := held[digest]; !ok {
				lacking = append(lacking, digest)
			}
		}
		return err
	})
	return lacking, err
}

// Condemn marks shards of a Removed upload as ShardRemoving, so that their blocks no longer count as held. It
// leaves out shards with segments of entries that remain. It marks indexes that cover one of the shards as
// IndexRemoving. On success the view serves the next shards too.
//
// Condemn returns ErrSpaceChanged if the space is not as it was viewed: other shards may have been sealed without
// the blocks that these hold, or uploads opened, completed or removed. It returns ErrAtWork while a worker links an
// upload of the space, since that worker may have left out such blocks too, and ErrLeaseLost if another worker has
// the removal. It takes away a lease on linking that has ended: that upload is linked again.
func (r *Repository) Condemn(ctx context.Context, stage Stage, view *SpaceView, shards []int64) error {
	var next int64
	err := r.removal(ctx, stage, "condemn shards", func(tx *core.Tx) error {
		// Until the transaction ends, this update also keeps shards of the space from being sealed.
		next = NextRevision(view.Revision)
		rows, err := tx.Exec(ctx, sq.Update("spaces").Set("revision", next).
			Where(sq.Eq{"id": view.Space, "revision": view.Revision, "needs": view.Needs}))
		if err != nil {
			return err
		}
		if err := core.Affected(rows, ErrSpaceChanged); err != nil {
			return err
		}

		if err := r.compare(ctx, tx, *view); err != nil {
			return err
		}

		// Entries that are left still need their shards.
		segments := sq.Select("1").From("segments").Where("segments.shard = shards.id")
		_, err = tx.Exec(ctx, schema.Settled(sq.Update("shards")).Set("state", ShardRemoving).Set("set_aside_at", nil).
			Set("digests", nil).Where(sq.Eq{"upload": stage.Upload.ID}).Where(r.db.Among("id", shards)).
			Where(sq.ConcatExpr("NOT EXISTS (", segments, ")")))
		if err != nil {
			return err
		}

		// No index may cover shards that are about to be deleted.
		covering := sq.Select("blob_index").From("shards").
			Where(sq.Eq{"upload": stage.Upload.ID, "state": ShardRemoving}).Where(sq.NotEq{"blob_index": nil})
		return r.dropIndexes(ctx, tx, core.Within("id", covering))
	})
	if err == nil {
		view.Revision = next
	}
	return err
}

// compare returns ErrSpaceChanged if an upload was begun, linked or completed since the view, and ErrAtWork while a
// worker links one. Until the transaction ends, no worker begins to link another.
func (r *Repository) compare(ctx context.Context, tx *core.Tx, view SpaceView) error {
	// The row locks keep workers from claiming these uploads until the transaction ends.
	var open []Upload
	err := tx.List(ctx, &open, sq.Select(schema.UploadFields...).From("uploads").Where(schema.InSpace(view.Space)).
		Where(sq.NotEq{"state": closed}).Suffix(r.db.RowLock))
	if err != nil {
		return err
	}

	for _, upload := range open {
		if err := r.stopLinking(ctx, tx, upload); err != nil {
			return err
		}

		then, found := view.find(upload.ID)
		if !found {
			return fmt.Errorf("upload %d was begun: %w", upload.ID, ErrSpaceChanged)
		}

		// It may need blocks that the shards hold.
		if upload.State == Indexing && then.State != Indexing {
			return fmt.Errorf("upload %d was linked: %w", upload.ID, ErrSpaceChanged)
		}
	}

	// Uploads that were completed since the view are no longer open.
	var complete []int64
	err = tx.List(ctx, &complete, sq.Select("id").From("uploads").Where(schema.InSpace(view.Space)).
		Where(sq.Eq{"state": Complete}))
	for _, id := range complete {
		if then, found := view.find(id); !found || then.State != Complete {
			return fmt.Errorf("upload %d was completed: %w", id, ErrSpaceChanged)
		}
	}
	return err
}

// stopLinking takes away a lease on linking that has ended. It returns ErrAtWork if the lease has not ended.
func (r *Repository) stopLinking(ctx context.Context, tx *core.Tx, upload Upload) error {
	if upload.State != Linking || upload.Token == 0 {
		return nil
	}
	return StopStage(ctx, tx, upload, "linking it")
}

// fromStore returns the store's own error, which storeError hid from the classification of database errors.
func fromStore(doing string, err error) error {
	var failed *storeError
	if errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", doing, failed.cause)
	}
	return err
}

// StillNamed returns the digests that a shard or an index of any space has. Every seal that was under way at the
// call is committed when StillNamed returns, or never will be: a caller that has moved a file away and learns that
// no row names it may delete the file.
func (r *Repository) StillNamed(ctx context.Context, digests []Digest) (named map[Digest]bool, err error) {
	keys := make([][]byte, len(digests))
	for i := range digests {
		keys[i] = digests[i][:]
	}

	err = r.db.Transact(ctx, "look which files are named", func(tx *core.Tx) error {
		named = map[Digest]bool{}
		// This waits for the seals that are under way.
		if err := r.lockSpaces(ctx, tx); err != nil {
			return err
		}

		for _, names := range []func(context.Context, core.Queryer, [][]byte) (map[string]bool, error){
			r.namedDigests, r.namedIndexes,
		} {
			some, err := names(ctx, tx, keys)
			if err != nil {
				return err
			}
			for digest := range some {
				named[Digest([]byte(digest))] = true
			}
		}
		return nil
	})
	return named, err
}

// lockSpaces keeps shards and indexes from being recorded until the transaction ends. This includes spaces that do
// not exist yet: adding a space takes a key from the locked counter.
func (r *Repository) lockSpaces(ctx context.Context, tx *core.Tx) error {
	counter := sq.Update(core.CounterTable).Set("value", sq.Expr("value")).Where(sq.Eq{"name": "spaces"})
	if err := tx.Later(ctx, counter, nil); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, sq.Update("spaces").Set("revision", sq.Expr("revision")))
	return err
}

func (r *Repository) namedDigests(ctx context.Context, q core.Queryer, digests [][]byte) (map[string]bool, error) {
	named := map[string]bool{}
	if len(digests) == 0 {
		return named, ctx.Err()
	}
	var others [][]byte
	err := q.List(ctx, &others, sq.Select("digest").From("shards").Where(sq.Eq{"digest": digests}).
		Where(sq.NotEq{"state": ShardRemoving}))
	for _, digest := range others {
		named[string(digest)] = true
	}
	return named, err
}

// Unnamed returns the digests of CAR files that no shard has, in the given order.
func (r *Repository) Unnamed(ctx context.Context, digests [][]byte) (unnamed [][]byte, err error) {
	err = r.db.Retry(ctx, "look for shards", func() error {
		named, err := r.namedDigests(ctx, r.db.Reader, digests)
		unnamed = nil
		for _, digest := range digests {
			if !named[string(digest)] {
				unnamed = append(unnamed, digest)
			}
		}
		return err
	})
	return unnamed, err
}

// nodesAtOnce is how many nodes one transaction deletes.
const nodesAtOnce = 2000

// RemoveNodes deletes nodes of a shard that is ShardRemoving, as many as one transaction may change, and the shard
// together with the last of them. It reports whether the shard is gone, and how many rows it deleted.
func (r *Repository) RemoveNodes(ctx context.Context, stage Stage, shard int64) (gone bool, rows int64, err error) {
	err = r.removal(ctx, stage, "delete nodes", func(tx *core.Tx) error {
		// A DELETE has no limit: find the last position that one transaction may delete.
		var positions []int64
		err := tx.List(ctx, &positions, sq.Select("position").From("nodes").Where(sq.Eq{"shard": shard}).
			OrderBy("position").Limit(1).Offset(nodesAtOnce-1))
		if err != nil {
			return err
		}

		nodes := sq.Delete("nodes").Where(sq.Eq{"shard": shard})
		if gone = len(positions) == 0; !gone {
			nodes = nodes.Where(sq.LtOrEq{"position": positions[0]})
		}
		if rows, err = tx.Exec(ctx, nodes); err != nil {
			return err
		}

		// If the shard is not condemned, this fails and nothing is deleted.
		row := sq.Eq{"id": shard, "upload": stage.Upload.ID, "state": ShardRemoving}
		var changed int64
		if gone {
			changed, err = tx.Exec(ctx, sq.Delete("shards").Where(row))
			rows += changed
		} else {
			changed, err = tx.Exec(ctx, sq.Update("shards").Set("nodes", sq.Expr("nodes - ?", rows)).Where(row))
		}
		if err != nil {
			return err
		}

		return core.Affected(changed, fmt.Errorf("shard %d: %w", shard, ErrNotFound))
	})
	return gone, rows, err
}
