package sqlrepo

import (
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// dropIndexes marks indexes as IndexRemoving. They no longer cover their shards.
func (r *Repository) dropIndexes(ctx context.Context, tx *core.Tx, which sq.Sqlizer) error {
	removing := sq.Select("id").From("indexes").Where(sq.Eq{"state": IndexRemoving})
	if err := tx.Later(ctx, sq.Update("indexes").Set("state", IndexRemoving).Where(which), nil); err != nil {
		return err
	}
	uncover := sq.Update("shards").Set("blob_index", nil).Where(core.Within("blob_index", removing))
	return tx.Later(ctx, uncover, nil)
}

// DropIndexes gives up indexes: others are to cover their shards.
func (r *Repository) DropIndexes(ctx context.Context, indexes []int64) error {
	return r.db.Transact(ctx, "drop indexes", func(tx *core.Tx) error {
		return r.dropIndexes(ctx, tx, r.db.Among("id", indexes))
	})
}

// ForgetIndex makes the shards that name an index uncovered, whether or not the index exists.
func (r *Repository) ForgetIndex(ctx context.Context, index int64) error {
	return r.mend(ctx, "forget the index of shards",
		sq.Update("shards").Set("blob_index", nil).Where(sq.Eq{"blob_index": index}),
		sq.Update("indexes").Set("state", IndexRemoving).Where(sq.Eq{"id": index}))
}

// DropNeedlessIndexes gives up the indexes of a Removed upload that cover none of its own shards.
func (r *Repository) DropNeedlessIndexes(ctx context.Context, stage Stage) error {
	own := sq.Select("1").From("shards").Where("shards.blob_index = indexes.id AND shards.upload = indexes.upload")
	needless := sq.And{sq.Eq{"upload": stage.Upload.ID}, sq.ConcatExpr("NOT EXISTS (", own, ")")}
	return r.removal(ctx, stage, "drop needless indexes", func(tx *core.Tx) error {
		return r.dropIndexes(ctx, tx, needless)
	})
}

// RemoveIndex deletes an index that is IndexRemoving and whose file is gone.
func (r *Repository) RemoveIndex(ctx context.Context, index int64) error {
	return r.db.Transact(ctx, fmt.Sprintf("remove index %d", index), func(tx *core.Tx) error {
		return tx.Later(ctx, sq.Delete("indexes").Where(sq.Eq{"id": index, "state": IndexRemoving}), nil)
	})
}

// namedIndexes returns the digests that stored indexes have.
func (r *Repository) namedIndexes(ctx context.Context, q core.Queryer, digests [][]byte) (map[string]bool, error) {
	named := map[string]bool{}
	if len(digests) == 0 {
		return named, ctx.Err()
	}
	var found [][]byte
	err := q.List(ctx, &found, sq.Select("digest").From("indexes").
		Where(sq.Eq{"digest": digests, "state": IndexStored}))
	for _, digest := range found {
		named[string(digest)] = true
	}
	return named, err
}

// UnnamedIndexes returns the digests that no stored index has, in the given order.
func (r *Repository) UnnamedIndexes(ctx context.Context, digests [][]byte) (unnamed [][]byte, err error) {
	err = r.db.Retry(ctx, "look for indexes", func() error {
		named, err := r.namedIndexes(ctx, r.db.Reader, digests)
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
