package removal

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
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
	Uploads []sqlrepo.Upload
}

func (v SpaceView) find(id int64) (upload sqlrepo.Upload, found bool) {
	at, found := slices.BinarySearchFunc(v.Uploads, id,
		func(u sqlrepo.Upload, id int64) int { return cmp.Compare(u.ID, id) })
	if found {
		upload = v.Uploads[at]
	}
	return upload, found
}

// ViewSpace returns the present view of a space, before its uploads are gone through.
func (r *Remover) ViewSpace(ctx context.Context, space int64) (view SpaceView, err error) {
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
		Where(schema.InSpace(space)).Where(sq.NotEq{"state": sqlrepo.Removed}).OrderBy("id"))
	return view, err
}

// Condemn marks shards of a Removed upload as ShardRemoving, so that their blocks no longer count as held. It
// leaves out shards with segments of entries that remain. It marks indexes that cover one of the shards as
// IndexRemoving. On success the view serves the next shards too.
//
// Condemn returns ErrSpaceChanged if the space is not as it was viewed: other shards may have been sealed without
// the blocks that these hold, or uploads opened, completed or removed. It returns ErrAtWork while a worker links an
// upload of the space, since that worker may have left out such blocks too, and ErrLeaseLost if another worker has
// the removal. It takes away a lease on linking that has ended: that upload is linked again.
func (r *Remover) Condemn(ctx context.Context, stage sqlrepo.Stage, view *SpaceView, shards []int64) error {
	var next int64
	err := r.removal(ctx, stage, "condemn shards", func(tx *core.Tx) error {
		// Until the transaction ends, this update also keeps shards of the space from being sealed.
		next = sqlrepo.NextRevision(view.Revision)
		rows, err := tx.Exec(ctx, sq.Update("spaces").Set("revision", next).
			Where(sq.Eq{"id": view.Space, "revision": view.Revision, "needs": view.Needs}))
		if err != nil {
			return err
		}
		if err := core.Affected(rows, sqlrepo.ErrSpaceChanged); err != nil {
			return err
		}

		if err := compare(ctx, tx, *view); err != nil {
			return err
		}

		// Entries that are left still need their shards.
		segments := sq.Select("1").From("segments").Where("segments.shard = shards.id")
		these := sq.And{sq.Eq{"upload": stage.Upload.ID}, r.db.Among("id", shards)}
		condemn := schema.Settled(sq.Update("shards")).Set("state", sqlrepo.ShardRemoving).
			Set("set_aside_at", nil).Set("digests", nil).Where(these).
			Where(sq.ConcatExpr("NOT EXISTS (", segments, ")"))
		err = sqlrepo.FilesOfShards(these).Around(ctx, tx, func() error { return tx.Later(ctx, condemn, nil) })
		if err != nil {
			return err
		}

		// No index may cover shards that are about to be deleted.
		covering := sq.Select("blob_index").From("shards").
			Where(sq.Eq{"upload": stage.Upload.ID, "state": sqlrepo.ShardRemoving}).Where(sq.NotEq{"blob_index": nil})
		return sqlrepo.GiveUpIndexes(ctx, tx, core.Within("id", covering))
	})
	if err == nil {
		view.Revision = next
	}
	return err
}

// compare returns ErrSpaceChanged if an upload was begun, linked or completed since the view, and ErrAtWork while a
// worker links one. Until the transaction ends, no worker begins to link another.
func compare(ctx context.Context, tx *core.Tx, view SpaceView) error {
	// The row locks keep workers from claiming these uploads until the transaction ends.
	var open []sqlrepo.Upload
	err := tx.List(ctx, &open, sq.Select(schema.UploadFields...).From("uploads").Where(schema.InSpace(view.Space)).
		Where(sq.NotEq{"state": sqlrepo.ClosedStates}).Suffix(tx.DB.RowLock))
	if err != nil {
		return err
	}

	for _, upload := range open {
		if err := stopLinking(ctx, tx, upload); err != nil {
			return err
		}

		then, found := view.find(upload.ID)
		if !found {
			return fmt.Errorf("upload %d was begun: %w", upload.ID, sqlrepo.ErrSpaceChanged)
		}

		// It may need blocks that the shards hold.
		if upload.State == sqlrepo.Indexing && then.State != sqlrepo.Indexing {
			return fmt.Errorf("upload %d was linked: %w", upload.ID, sqlrepo.ErrSpaceChanged)
		}
	}

	// Uploads that were completed since the view are no longer open.
	var complete []int64
	err = tx.List(ctx, &complete, sq.Select("id").From("uploads").Where(schema.InSpace(view.Space)).
		Where(sq.Eq{"state": sqlrepo.Complete}))
	for _, id := range complete {
		if then, found := view.find(id); !found || then.State != sqlrepo.Complete {
			return fmt.Errorf("upload %d was completed: %w", id, sqlrepo.ErrSpaceChanged)
		}
	}
	return err
}

// stopLinking takes away a lease on linking that has ended. It returns ErrAtWork if the lease has not ended.
func stopLinking(ctx context.Context, tx *core.Tx, upload sqlrepo.Upload) error {
	if upload.State != sqlrepo.Linking || upload.Token == 0 {
		return nil
	}
	return sqlrepo.StopStage(ctx, tx, upload, "linking it")
}
