package sqlrepo

import (
	"cmp"
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// NewIndex is an index whose bytes are ready for the store.
type NewIndex struct {
	Index
	// Covers are the keys of the shards that the index covers.
	Covers []int64
	// Publish makes the bytes durable. While it runs, no shard of the space is sealed and no file of any space is
	// removed. If the transaction is retried, Publish is called again and has nothing to do.
	Publish func(ctx context.Context) error
}

// BeginIndexing records the root of a linked upload and the counts of what lies below it. It gives up indexes of
// the upload that were made for another root or in another way. The lease stays for the indexing. BeginIndexing
// returns ErrLeaseLost if another worker has the lease or the upload is not Linking.
func (r *Repository) BeginIndexing(ctx context.Context, stage Stage, root CID, counts Counts) (Stage, error) {
	upload, tally := stage.Upload, make([]int64, len(progressColumns))
	upload.State, upload.RootCID, upload.Counts = Indexing, root, counts
	upload.IndexLayout = cmp.Or(upload.IndexLayout, DefaultIndexLayout)
	upload.Progress, upload.Attempts, upload.RetryAt, upload.Error = 0, 0, Time{}, ""

	begin := r.linked(stage, root, counts, upload.IndexLayout).Suffix("RETURNING " + core.ColumnList(progressFields))
	stale := sq.And{sq.Eq{"upload": upload.ID}, sq.Or{sq.NotEq{"root_cid": root},
		sq.NotEq{"layout": upload.IndexLayout}, sq.Gt{"slices": upload.IndexSlices}}}

	err := r.db.Transact(ctx, "record the root", func(tx *core.Tx) error {
		if err := tx.Later(ctx, schema.NeedsOf(sq.Eq{"id": upload.Source}), nil); err != nil {
			return err
		}
		lost := func(rows int64) error { return leaseLost(rows, "uploads", upload.ID) }
		if err := tx.LaterRead(ctx, tally, begin, lost); err != nil {
			return err
		}
		return GiveUpIndexes(ctx, tx, stale)
	})

	upload.Tally = uploadOf(upload.ID, tally).Tally
	return Stage{upload}, err
}

// SaveIndexes records indexes of an upload that is Indexing, and which shards they cover, in one transaction. It
// returns ErrSpaceChanged if one of the shards is covered already or no longer needed, and ErrLeaseLost if another
// worker has the stage.
func (r *Repository) SaveIndexes(ctx context.Context, stage Stage, indexes []NewIndex) error {
	seen := sq.Update("uploads").Set("lease_seen", r.db.At(0)).Where(sq.Eq{"state": Indexing})
	return r.saveIndexes(ctx, stage.Upload.ID, indexes,
		func(tx *core.Tx) error { return Fence(ctx, tx, stage, seen) }, false)
}

// CompleteUpload is like SaveIndexes for the last indexes of an upload, if any, and completes the upload. It
// returns the finished upload. If some entries are neither linked nor left out, it changes nothing and returns an
// UnsettledError.
func (r *Repository) CompleteUpload(ctx context.Context, stage Stage, indexes []NewIndex) (Upload, error) {
	upload := stage.Upload
	upload.State, upload.FinishedAt, upload.Lease = Complete, NewTime(r.db.Now()), Lease{}
	err := proved(func(by proof) error {
		return r.saveIndexes(ctx, upload.ID, indexes, func(tx *core.Tx) error {
			if err := Fence(ctx, tx, stage, completed(upload.FinishedAt)); err != nil {
				return err
			}
			return prove(ctx, tx, upload.ID, by)
		}, true)
	})
	return upload, err
}

// CoverShards is like SaveIndexes for a complete upload whose shards have lost their index. It also returns
// ErrSpaceChanged if the upload is no longer complete.
func (r *Repository) CoverShards(ctx context.Context, upload int64, indexes []NewIndex) error {
	complete := sq.Select("id").From("uploads").Where(sq.Eq{"id": upload, "state": Complete}).Suffix(
		r.db.RowLock)
	return r.saveIndexes(ctx, upload, indexes, func(tx *core.Tx) error {
		return tx.LaterRead(ctx, make([]int64, 1), complete,
			func(rows int64) error { return core.Affected(rows, ErrSpaceChanged) })
	}, false)
}

// saveIndexes records indexes unless may, which comes first, returns an error. completes says that may completes the
// upload.
func (r *Repository) saveIndexes(ctx context.Context, upload int64, indexes []NewIndex,
	may func(*core.Tx) error, completes bool) error {
	err := r.db.Transact(ctx, "record indexes", func(tx *core.Tx) error {
		// Hold the space: a removal that decides what is needed then sees the upload as complete.
		own := core.Within("id", sq.Select("source").From("uploads").Where(sq.Eq{"id": upload}))
		if err := tx.Later(ctx, schema.NeedsOf(own), nil); err != nil {
			return err
		}

		if err := may(tx); err != nil {
			return err
		}
		if err := r.publish(ctx, tx, upload, indexes); err != nil {
			return err
		}

		// The counts of replicas are locked no longer than needed.
		if completes {
			if err := completing(upload).Around(ctx, tx, func() error { return nil }); err != nil {
				return err
			}
		}
		if len(indexes) == 0 {
			return ctx.Err()
		}
		err := storing(upload, indexes).Around(ctx, tx, func() error { return insertIndexes(ctx, tx, indexes) })
		if err != nil {
			return err
		}
		return r.cover(ctx, tx, indexes)
	})
	return fromStore("store the index", err)
}

// publish gives indexes their keys and makes their bytes durable, if their shards need them.
func (r *Repository) publish(ctx context.Context, tx *core.Tx, upload int64, indexes []NewIndex) error {
	if len(indexes) == 0 {
		return ctx.Err()
	}
	if err := r.uncovered(ctx, tx, indexes); err != nil {
		return err
	}
	if err := nameIndexes(ctx, tx, upload, indexes); err != nil {
		return err
	}
	for i := range indexes {
		if err := indexes[i].Publish(ctx); err != nil {
			return &storeError{err}
		}
	}
	return nil
}

// uncovered checks that the shards of indexes need an index, before the indexes are stored: no row would name a
// file that is stored in vain. The caller holds the space, so the answer stays true.
func (r *Repository) uncovered(ctx context.Context, tx *core.Tx, indexes []NewIndex) error {
	for _, index := range indexes {
		all := sq.Select("COUNT(*)").From("shards").Where(r.db.Among("id", index.Covers)).
			Where(sq.Eq{"blob_index": nil, "state": ShardPacked}).Having("COUNT(*) = ?", len(index.Covers))
		err := tx.LaterRead(ctx, make([]int64, 1), all, func(rows int64) error {
			if rows != 1 {
				return fmt.Errorf("%w: not all of %d shards are to be indexed", ErrSpaceChanged, len(index.Covers))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// nameIndexes gives indexes their keys and ordinals.
func nameIndexes(ctx context.Context, tx *core.Tx, upload int64, indexes []NewIndex) error {
	next := make([]int64, 1)
	ordinal := sq.Select("COALESCE(MAX(ordinal) + 1, 0)").From("indexes").Where(sq.Eq{"upload": upload})
	if err := tx.LaterRead(ctx, next, ordinal, nil); err != nil {
		return err
	}

	first, err := tx.NextIDs(ctx, "indexes", len(indexes))
	for i := range indexes {
		indexes[i].ID, indexes[i].Upload, indexes[i].Ordinal = first+int64(i), upload, next[0]+int64(i)
		indexes[i].State = IndexStored
	}
	return err
}

func insertIndexes(ctx context.Context, tx *core.Tx, indexes []NewIndex) error {
	return tx.BulkInsert(ctx, "indexes", schema.IndexColumns, len(indexes), func(i int) []any {
		x := &indexes[i]
		return []any{x.ID, x.Upload, x.Ordinal, int64(x.State), x.Layout, x.Root.Bytes(), x.Shards, x.Slices, x.Size,
			x.Digest}
	})
}

// cover records the indexes of shards that have none yet.
func (r *Repository) cover(ctx context.Context, tx *core.Tx, indexes []NewIndex) error {
	for _, index := range indexes {
		update := sq.Update("shards").Set("blob_index", index.ID).Where(r.db.Among("id", index.Covers)).
			Where(sq.Eq{"blob_index": nil, "state": ShardPacked})
		err := tx.Later(ctx, update, func(rows int64) error {
			if rows != int64(len(index.Covers)) {
				return fmt.Errorf("%w: %d of %d shards are to be indexed", ErrSpaceChanged, rows, len(index.Covers))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
