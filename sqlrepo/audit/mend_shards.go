package audit

import (
	"context"
	"errors"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// ReplaceNodes records a shard as packed, with the kind, size, digest and nodes of its file. What is
// known of the chunks that were planned for it stays.
func (a *Auditor) ReplaceNodes(ctx context.Context, shard sqlrepo.Shard, nodes []sqlrepo.Node) error {
	this := sq.Eq{"id": shard.ID}
	return a.db.Transact(ctx, fmt.Sprintf("replace the nodes of shard %d", shard.ID), func(tx *core.Tx) error {
		for _, statement := range []sq.Sqlizer{
			sq.Delete("nodes").Where(sq.Eq{"shard": shard.ID}),
			schema.Settled(sq.Update("shards")).
				Set("state", sqlrepo.ShardPacked).Set("kind", shard.Kind).Set("size", shard.Size).
				Set("digest", shard.Digest).Set("nodes", len(nodes)).
				Set("piece", shard.Piece).Set("set_aside_at", nil).Where(this),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}

		if err := sqlrepo.InsertNodes(ctx, tx, shard.ID, nodes); err != nil {
			return err
		}

		// What was looked up before no longer holds.
		return changedSpace(ctx, tx, shard.ID)
	})
}

// LoseShard forgets the blocks of a shard whose file is lost. The shard stays as an empty one, with the digests of
// its planned chunks: files whose chunks lie elsewhere still depend on these digests.
func (a *Auditor) LoseShard(ctx context.Context, shard int64) error {
	row, err := a.repo.Shard(ctx, shard)
	if err != nil {
		return err
	}
	row.State, row.Size, row.Digest, row.Piece = sqlrepo.ShardEmpty, 0, nil, nil
	return a.ShrinkShard(ctx, row, nil)
}

// ShrinkShard leaves a shard some of its blocks, in another file. The given row has the size, digest and piece of that
// file. The digests of the planned chunks stay, as for LoseShard.
func (a *Auditor) ShrinkShard(ctx context.Context, shard sqlrepo.Shard, nodes []sqlrepo.Node) error {
	// The nodes that are left do not give the digests of all chunks.
	var digests any
	if shard.Kind == sqlrepo.DataShard {
		known, err := a.repo.ShardDigests(ctx, shard.ID)
		if err != nil && !errors.Is(err, schema.ErrDigestLength) {
			return err
		}
		digests = append([]byte{}, known...)
	}

	return a.db.Transact(ctx, fmt.Sprintf("forget blocks of shard %d", shard.ID), func(tx *core.Tx) error {
		for _, statement := range []sq.Sqlizer{
			sq.Delete("nodes").Where(sq.Eq{"shard": shard.ID}),
			schema.Settled(sq.Update("shards")).Set("state", shard.State).Set("kind", shard.Kind).Set("size", shard.Size).
				Set("nodes", len(nodes)).Set("digest", shard.Digest).
				Set("digests", digests).Set("piece", shard.Piece).Set("set_aside_at", nil).
				Where(sq.Eq{"id": shard.ID}),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}

		if err := sqlrepo.InsertNodes(ctx, tx, shard.ID, nodes); err != nil {
			return err
		}

		// What was looked up before no longer holds.
		return changedSpace(ctx, tx, shard.ID)
	})
}

// ResetShard clears what only packed shards have from a shard that is planned or empty.
func (a *Auditor) ResetShard(ctx context.Context, shard int64) error {
	this := sq.Eq{"id": shard}
	return a.mend(ctx, fmt.Sprintf("reset shard %d", shard),
		sq.Delete("nodes").Where(sq.Eq{"shard": shard}),
		sq.Update("shards").Set("size", 0).Set("nodes", 0).Set("digest", nil).Set("piece", nil).Where(this),
		sq.Update("shards").Set("digests", nil).Where(this).Where(sq.Eq{"state": sqlrepo.ShardPlanned}))
}

// changedSpace makes everybody who looked up blocks of a shard's space look them up again.
func changedSpace(ctx context.Context, tx *core.Tx, shard int64) error {
	space := sq.Select("space").From("sources").Join("uploads ON uploads.source = sources.id").
		Join("shards ON shards.upload = uploads.id").Where(sq.Eq{"shards.id": shard})
	_, err := tx.Exec(ctx, schema.NeedsChanged(sq.Update("spaces")).Set("revision", sq.Expr("revision + 1")).
		Where(core.Within("id", space)))
	return err
}

// SetPiece corrects the root of a shard's piece CID. nil stands for none.
func (a *Auditor) SetPiece(ctx context.Context, shard int64, root []byte) error {
	return a.mend(ctx, fmt.Sprintf("set the piece CID of shard %d", shard),
		sq.Update("shards").Set("piece", root).Where(sq.Eq{"id": shard}))
}

// MendContent sets how much of the source a shard holds to the sum of its segments.
func (a *Auditor) MendContent(ctx context.Context, shard int64) error {
	sum := sq.Select("CAST(COALESCE(SUM(length), 0) AS BIGINT)").From("segments").Where(sq.Eq{"shard": shard})
	return a.mend(ctx, fmt.Sprintf("set the content of shard %d", shard),
		sq.Update("shards").Set("content", sq.ConcatExpr("(", sum, ")")).Where(sq.Eq{"id": shard}))
}

// chunkFacts are the columns that show how many chunks a shard was planned to hold.
type chunkFacts struct {
	Kind    sqlrepo.ShardKind  `db:"kind"`
	State   sqlrepo.ShardState `db:"state"`
	Digests *int64             `db:"digests"`
	Nodes   int64              `db:"nodes"`
	Chunks  int64              `db:"chunks"`
}

// MendDigests makes a shard's number of chunks and their digests agree. It returns false if the digests of some
// chunks are not known. The files in the shard then have to be planned again.
func (a *Auditor) MendDigests(ctx context.Context, shard int64) (known bool, err error) {
	var facts chunkFacts
	var last int64
	err = a.db.Retry(ctx, "count chunks", func() error {
		columns := []string{"kind", "state", "LENGTH(digests) AS digests", "nodes", "chunks"}
		err := a.db.Reader.Get(ctx, &facts, sq.Select(columns...).From("shards").Where(sq.Eq{"id": shard}))
		if err != nil {
			return err
		}

		end := sq.Expr("COALESCE(MAX(chunk + CASE WHEN length = 0 THEN 1 ELSE (length + ?) / ? END), 0)",
			int64(chunkSize-1), int64(chunkSize))
		return a.db.Reader.Get(ctx, &last,
			sq.Select().Column(end).From("segments").Where(sq.Eq{"shard": shard}))
	})
	if err != nil {
		return false, err
	}

	update := sq.Update("shards").Where(sq.Eq{"id": shard})
	whole := int64(len(sqlrepo.Digest{}))
	switch {
	case facts.State == sqlrepo.ShardPlanned || facts.Kind == sqlrepo.DAGShard:
		// Such shards have no digests.
		return true, a.mend(ctx, "forget digests", update.Set("digests", nil))
	case facts.Nodes == facts.Chunks && facts.Nodes >= last:
		// Each chunk is a node, so the nodes give the digests.
		return true, a.mend(ctx, "forget digests", update.Set("digests", nil))
	case facts.Digests != nil && *facts.Digests%whole == 0 && *facts.Digests/whole >= last:
		// The digests cover all segments, so their number is right.
		return true, a.mend(ctx, "count chunks", update.Set("chunks", *facts.Digests/whole))
	}

	// A digest of zeros stands for a chunk that is not known.
	none := make([]byte, facts.Chunks*whole)
	return false, a.mend(ctx, "forget digests", update.Set("digests", none))
}

// ForgetIndex makes the shards that name an index uncovered, whether or not the index exists.
func (a *Auditor) ForgetIndex(ctx context.Context, index int64) error {
	return a.mend(ctx, "forget the index of shards",
		sq.Update("shards").Set("blob_index", nil).Where(sq.Eq{"blob_index": index}),
		sq.Update("indexes").Set("state", sqlrepo.IndexRemoving).Where(sq.Eq{"id": index}))
}
