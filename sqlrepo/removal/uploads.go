package removal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// RemoveUpload marks an upload as Removed, in one small commit. From then on nothing takes over its content, and
// the worker that claims its removal deletes what no other upload needs. RemoveUpload takes away leases on the
// upload that have ended. It returns ErrNotFound if there is no such upload, and ErrAtWork, naming the worker,
// while one works on it or scans its source.
func (r *Remover) RemoveUpload(ctx context.Context, id int64) error {
	return r.remove(ctx, id, func(*core.Tx) error { return nil })
}

// ErrOutdated is returned if uploads or their tags have changed since a removal was decided. Nothing was removed.
var ErrOutdated = errors.New("uploads or tags have changed since this was decided")

// Decision is what the removal of a complete upload was decided from.
type Decision struct {
	// Tags are those that the upload had, sorted.
	Tags []string
	// Kept are the complete uploads of its source that stay, for which this one may go.
	Kept []int64
}

// RemoveDecided is like RemoveUpload but returns ErrOutdated, and removes nothing, unless the upload and those that
// stay are still complete, and its tags are the same.
func (r *Remover) RemoveDecided(ctx context.Context, id int64, decision Decision) error {
	return r.remove(ctx, id, func(tx *core.Tx) error {
		uploads := append([]int64{id}, decision.Kept...)
		complete := 0
		for some := range slices.Chunk(uploads, core.KeysAtOnce) {
			n := 0
			err := tx.Get(ctx, &n, sq.Select("COUNT(*)").From("uploads").
				Where(tx.DB.Among("id", some)).Where(sq.Eq{"state": sqlrepo.Complete}))
			if err != nil {
				return err
			}
			complete += n
		}

		var tags []string
		of := sq.Select("tag").From("upload_tags").Where(sq.Eq{"upload": id}).OrderBy("tag")
		if err := tx.List(ctx, &tags, of); err != nil {
			return err
		}

		if complete != len(uploads) || !slices.Equal(tags, decision.Tags) {
			return fmt.Errorf("upload %d: %w", id, ErrOutdated)
		}
		return nil
	})
}

// remove marks an upload as Removed if check returns no error. Nobody changes the upload, or its tags, or removes
// another upload of its source, between the two.
func (r *Remover) remove(ctx context.Context, id int64, check func(*core.Tx) error) error {
	return r.db.Transact(ctx, fmt.Sprintf("remove upload %d", id), func(tx *core.Tx) error {
		var source int64
		of := sq.Select("source").From("uploads").Where(sq.Eq{"id": id})
		if err := tx.Get(ctx, &source, of); err != nil {
			return err
		}

		// Other removals that are deciding what is needed have to look again.
		if err := tx.Later(ctx, schema.NeedsOf(sq.Eq{"id": source}), nil); err != nil {
			return err
		}

		// No other upload of the source begins meanwhile.
		if err := lockRow(ctx, tx, "sources", source); err != nil {
			return err
		}
		if err := stopScans(ctx, tx, source); err != nil {
			return err
		}

		// No worker claims the upload or its removal between the look for leases and the update.
		if err := lockRow(ctx, tx, "uploads", id); err != nil {
			return err
		}
		if err := check(tx); err != nil {
			return err
		}
		if err := sqlrepo.StopWork(ctx, tx, id); err != nil {
			return err
		}

		// What is gone for everybody has no tags either.
		if _, err := tx.Exec(ctx, sq.Delete("upload_tags").Where(sq.Eq{"upload": id})); err != nil {
			return err
		}
		return sqlrepo.FilesOf(id).Around(ctx, tx, func() error { return tx.Later(ctx, sqlrepo.SetRemoved(id), nil) })
	})
}

// lockRow keeps a row from being changed until the transaction ends.
func lockRow(ctx context.Context, tx *core.Tx, table string, id int64) error {
	var locked int64
	return tx.Get(ctx, &locked, sq.Select("id").From(table).Where(sq.Eq{"id": id}).Suffix(tx.DB.RowLock))
}

// stopScans makes sure that no worker scans a source: a scan may be taking content over from any of its uploads.
func stopScans(ctx context.Context, tx *core.Tx, source int64) error {
	var scans []sqlrepo.Upload
	err := tx.List(ctx, &scans, sq.Select(schema.UploadFields...).From("uploads").
		Where(sq.Eq{"source": source}).Where(sq.NotEq{"state": sqlrepo.ClosedStates}).Suffix(tx.DB.RowLock))
	if err != nil {
		return err
	}

	for _, scan := range scans {
		// Only a scan takes content over.
		if scan.State != sqlrepo.Scanning || scan.Token == 0 {
			continue
		}
		if err := sqlrepo.StopStage(ctx, tx, scan, "scanning its source"); err != nil {
			return err
		}
	}
	return nil
}

// RemovedUploads lists, by key, the Removed uploads of a space that still have a row.
func (r *Remover) RemovedUploads(ctx context.Context, space int64) (removed []sqlrepo.Upload, err error) {
	err = r.db.ReadAll(ctx, "list removed uploads", &removed, sq.Select(schema.UploadFields...).From("uploads").
		Where(schema.InSpace(space)).Where(sq.Eq{"state": sqlrepo.Removed}).OrderBy("id"))
	return removed, err
}

// FinishRemoval gives back the lease, and deletes the upload if none of its entries, shards and indexes are left.
func (r *Remover) FinishRemoval(ctx context.Context, stage sqlrepo.Stage) (gone bool, err error) {
	none := func(table string) sq.Sqlizer {
		rows := sq.Select("1").From(table).Where(sq.Eq{"upload": stage.Upload.ID})
		return sq.ConcatExpr("NOT EXISTS (", rows, ")")
	}

	err = r.removal(ctx, stage, "finish the removal", func(tx *core.Tx) error {
		rows, err := tx.Exec(ctx, sq.Delete("uploads").Where(sq.Eq{"id": stage.Upload.ID}).
			Where(none("entries")).Where(none("shards")).Where(none("indexes")))
		if gone = rows > 0; gone || err != nil {
			return err
		}
		_, err = tx.Exec(ctx, schema.Settled(sq.Update("uploads")).Where(sq.Eq{"id": stage.Upload.ID}))
		return err
	})
	return gone, err
}
