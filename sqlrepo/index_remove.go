package sqlrepo

import (
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// GiveUpIndexes marks indexes as IndexRemoving. They no longer cover their shards. The caller holds their space: nobody
// may set a replica, and count the indexes, meanwhile.
func GiveUpIndexes(ctx context.Context, tx *core.Tx, which sq.Sqlizer) error {
	removing := sq.Select("id").From("indexes").Where(sq.Eq{"state": IndexRemoving})
	err := LackChange{files: []someFiles{likeThose(indexFiles, which)}}.Around(ctx, tx, func() error {
		return tx.Later(ctx, sq.Update("indexes").Set("state", IndexRemoving).Where(which), nil)
	})
	if err != nil {
		return err
	}
	uncover := sq.Update("shards").Set("blob_index", nil).Where(core.Within("blob_index", removing))
	return tx.Later(ctx, uncover, nil)
}

// DropIndexes gives up indexes: others are to cover their shards.
func (r *Repository) DropIndexes(ctx context.Context, indexes []int64) error {
	return r.db.Transact(ctx, "drop indexes", func(tx *core.Tx) error {
		if err := lockSpaces(ctx, tx); err != nil {
			return err
		}
		return GiveUpIndexes(ctx, tx, r.db.Among("id", indexes))
	})
}

// RemoveIndex deletes an index that is IndexRemoving and whose file is gone.
func (r *Repository) RemoveIndex(ctx context.Context, index int64) error {
	return r.db.Transact(ctx, fmt.Sprintf("remove index %d", index), func(tx *core.Tx) error {
		return tx.Later(ctx, sq.Delete("indexes").Where(sq.Eq{"id": index, "state": IndexRemoving}), nil)
	})
}
