package removal

import (
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// nodesAtOnce is how many nodes one transaction deletes.
const nodesAtOnce = 2000

// RemoveNodes deletes nodes of a shard that is ShardRemoving, as many as one transaction may change, and the shard
// together with the last of them. It reports whether the shard is gone, and how many rows it deleted.
func (r *Remover) RemoveNodes(ctx context.Context, stage sqlrepo.Stage,
	shard int64) (gone bool, rows int64, err error) {
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
		row := sq.Eq{"id": shard, "upload": stage.Upload.ID, "state": sqlrepo.ShardRemoving}
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

		return core.Affected(changed, fmt.Errorf("shard %d: %w", shard, sqlrepo.ErrNotFound))
	})
	return gone, rows, err
}

// DropNeedlessIndexes gives up the indexes of a Removed upload that cover none of its own shards.
func (r *Remover) DropNeedlessIndexes(ctx context.Context, stage sqlrepo.Stage) error {
	own := sq.Select("1").From("shards").Where("shards.blob_index = indexes.id AND shards.upload = indexes.upload")
	needless := sq.And{sq.Eq{"upload": stage.Upload.ID}, sq.ConcatExpr("NOT EXISTS (", own, ")")}
	return r.removal(ctx, stage, "drop needless indexes", func(tx *core.Tx) error {
		space := sq.Select("space").From("sources").Where(sq.Eq{"id": stage.Upload.Source})
		held := sq.Select("id").From("spaces").Where(core.Within("id", space)).Suffix(r.db.RowLock)
		if err := tx.LaterRead(ctx, make([]int64, 1), held, nil); err != nil {
			return err
		}
		return sqlrepo.GiveUpIndexes(ctx, tx, needless)
	})
}
