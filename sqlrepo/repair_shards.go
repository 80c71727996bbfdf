package sqlrepo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Shard returns the shard with this key, or ErrNotFound.
func (r *Repository) Shard(ctx context.Context, id int64) (shard Shard, err error) {
	err = r.db.ReadOne(ctx, fmt.Sprintf("shard %d", id), &shard,
		sq.Select(schema.ShardFields...).From("shards").Where(sq.Eq{"id": id}))
	return shard, err
}

// ReplaceNodes records a shard as packed, with the kind, size, digest, location and nodes of its file. What is
// known of the chunks that were planned for it stays.
func (r *Repository) ReplaceNodes(ctx context.Context, shard Shard, nodes []Node) error {
	this := sq.Eq{"id": shard.ID}
	return r.db.Transact(ctx, fmt.Sprintf("replace the nodes of shard %d", shard.ID), func(tx *core.Tx) error {
		for _, statement := range []sq.Sqlizer{
			sq.Delete("nodes").Where(sq.Eq{"shard": shard.ID}),
			schema.Settled(sq.Update("shards")).Set("state", ShardPacked).Set("kind", shard.Kind).Set("size", shard.Size).
				Set("digest", shard.Digest).Set("location", shard.Location).Set("nodes", len(nodes)).
				Set("piece", shard.Piece).Set("set_aside_at", nil).Where(this),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}

		if err := r.insertNodes(ctx, tx, shard.ID, nodes); err != nil {
			return err
		}

		// What was looked up before no longer holds.
		return r.changedSpace(ctx, tx, shard.ID)
	})
}

// LoseShard forgets the blocks of a shard whose file is lost. The shard stays as an empty one, with the digests of
// its planned chunks: files whose chunks lie elsewhere still depend on these digests.
func (r *Repository) LoseShard(ctx context.Context, shard int64) error {
	row, err := r.Shard(ctx, shard)
	if err != nil {
		return err
	}
	row.State, row.Size, row.Digest, row.Location, row.Piece = ShardEmpty, 0, nil, "", nil
	return r.ShrinkShard(ctx, row, nil)
}

// ShrinkShard leaves a shard some of its blocks, in another file. The given row has the size, digest, location and
// piece of that file. The digests of the planned chunks stay, as for LoseShard.
func (r *Repository) ShrinkShard(ctx context.Context, shard Shard, nodes []Node) error {
	// The nodes that are left do not give the digests of all chunks.
	var digests any
	if shard.Kind == DataShard {
		known, err := r.ShardDigests(ctx, shard.ID)
		if err != nil && !errors.Is(err, schema.ErrDigestLength) {
			return err
		}
		digests = append([]byte{}, known...)
	}

	return r.db.Transact(ctx, fmt.Sprintf("forget blocks of shard %d", shard.ID), func(tx *core.Tx) error {
		for _, statement := range []sq.Sqlizer{
			sq.Delete("nodes").Where(sq.Eq{"shard": shard.ID}),
			schema.Settled(sq.Update("shards")).Set("state", shard.State).Set("kind", shard.Kind).Set("size", shard.Size).
				Set("nodes", len(nodes)).Set("digest", shard.Digest).Set("location", core.Nullable(shard.Location, "")).
				Set("digests", digests).Set("piece", shard.Piece).Set("set_aside_at", nil).
				Where(sq.Eq{"id": shard.ID}),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}

		if err := r.insertNodes(ctx, tx, shard.ID, nodes); err != nil {
			return err
		}

		// What was looked up before no longer holds.
		return r.changedSpace(ctx, tx, shard.ID)
	})
}

// ResetShard clears what only packed shards have from a shard that is planned or empty.
func (r *Repository) ResetShard(ctx context.Context, shard int64) error {
	this := sq.Eq{"id": shard}
	return r.mend(ctx, fmt.Sprintf("reset shard %d", shard),
		sq.Delete("nodes").Where(sq.Eq{"shard": shard}),
		sq.Update("shards").Set("size", 0).Set("nodes", 0).Set("digest", nil).Set("location", nil).
			Set("piece", nil).Where(this),
		sq.Update("shards").Set("digests", nil).Where(this).Where(sq.Eq{"state": ShardPlanned}))
}

// changedSpace makes everybody who looked up blocks of a shard's space look them up again.
func (r *Repository) changedSpace(ctx context.Context, tx *core.Tx, shard int64) error {
	space := sq.Select("space").From("sources").Join("uploads ON uploads.source = sources.id").
		Join("shards ON shards.upload = uploads.id").Where(sq.Eq{"shards.id": shard})
	_, err := tx.Exec(ctx, schema.NeedsChanged(sq.Update("spaces")).Set("revision", sq.Expr("revision + 1")).
		Where(core.Within("id", space)))
	return err
}

// SetLocation corrects the recorded location of a shard.
func (r *Repository) SetLocation(ctx context.Context, shard int64, location string) error {
	return r.mend(ctx, fmt.Sprintf("set the location of shard %d", shard),
		sq.Update("shards").Set("location", location).Where(sq.Eq{"id": shard}))
}

// SetPiece corrects the root of a shard's piece CID. nil stands for none.
func (r *Repository) SetPiece(ctx context.Context, shard int64, root []byte) error {
	return r.mend(ctx, fmt.Sprintf("set the piece CID of shard %d", shard),
		sq.Update("shards").Set("piece", root).Where(sq.Eq{"id": shard}))
}

// MendContent sets how much of the source a shard holds to the sum of its segments.
func (r *Repository) MendContent(ctx context.Context, shard int64) error {
	sum := sq.Select("CAST(COALESCE(SUM(length), 0) AS BIGINT)").From("segments").Where(sq.Eq{"shard": shard})
	return r.mend(ctx, fmt.Sprintf("set the content of shard %d", shard),
		sq.Update("shards").Set("content", sq.ConcatExpr("(", sum, ")")).Where(sq.Eq{"id": shard}))
}

// chunkFacts are the columns that show how many chunks a shard was planned to hold.
type chunkFacts struct {
	Kind    ShardKind  `db:"kind"`
	State   ShardState `db:"state"`
	Digests *int64     `db:"digests"`
	Nodes   int64      `db:"nodes"`
	Chunks  int64      `db:"chunks"`
}

// MendDigests makes a shard's number of chunks and their digests agree. It returns false if the digests of some
// chunks are not known. The files in the shard then have to be planned again.
func (r *Repository) MendDigests(ctx context.Context, shard int64) (known bool, err error) {
	var facts chunkFacts
	var last int64
	err = r.db.Retry(ctx, "count chunks", func() error {
		columns := []string{"kind", "state", "LENGTH(digests) AS digests", "nodes", "chunks"}
		err := r.db.Reader.Get(ctx, &facts, sq.Select(columns...).From("shards").Where(sq.Eq{"id": shard}))
		if err != nil {
			return err
		}

		end := sq.Expr("COALESCE(MAX(chunk + CASE WHEN length = 0 THEN 1 ELSE (length + ?) / ? END), 0)",
			int64(chunkSize-1), int64(chunkSize))
		return r.db.Reader.Get(ctx, &last,
			sq.Select().Column(end).From("segments").Where(sq.Eq{"shard": shard}))
	})
	if err != nil {
		return false, err
	}

	update := sq.Update("shards").Where(sq.Eq{"id": shard})
	whole := int64(len(Digest{}))
	switch {
	case facts.State == ShardPlanned || facts.Kind == DAGShard:
		// Such shards have no digests.
		return true, r.mend(ctx, "forget digests", update.Set("digests", nil))
	case facts.Nodes == facts.Chunks && facts.Nodes >= last:
		// Each chunk is a node, so the nodes give the digests.
		return true, r.mend(ctx, "forget digests", update.Set("digests", nil))
	case facts.Digests != nil && *facts.Digests%whole == 0 && *facts.Digests/whole >= last:
		// The digests cover all segments, so their number is right.
		return true, r.mend(ctx, "count chunks", update.Set("chunks", *facts.Digests/whole))
	}

	// A digest of zeros stands for a chunk that is not known.
	none := make([]byte, facts.Chunks*whole)
	return false, r.mend(ctx, "forget digests", update.Set("digests", none))
}

// EntriesOf returns some keys, behind the given one, of entries that have segments in a shard.
func (r *Repository) EntriesOf(ctx context.Context, shard, behind int64) (entries []int64, err error) {
	err = r.db.ReadAll(ctx, fmt.Sprintf("files in shard %d", shard), &entries,
		sq.Select("entry").Distinct().From("segments").
			Where(sq.Eq{"shard": shard}).Where(sq.Gt{"entry": behind}).OrderBy("entry").Limit(core.KeysAtOnce))
	return entries, err
}

// UploadOf returns the upload of an entry, 0 if there is no such entry.
func (r *Repository) UploadOf(ctx context.Context, entry int64) (upload int64, err error) {
	err = r.db.Retry(ctx, "upload of an entry", func() error {
		err := r.db.Reader.Get(ctx, &upload, sq.Select("upload").From("entries").Where(sq.Eq{"id": entry}))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	return upload, err
}

// PackedShards counts the shards of an upload, or of all, whose files are in a store.
func (r *Repository) PackedShards(ctx context.Context, upload *int64) (n int64, err error) {
	err = r.db.Retry(ctx, "count shards", func() error {
		query := sq.Select("COUNT(*)").From("shards").Where(sq.Eq{"state": ShardPacked})
		return r.db.Reader.Get(ctx, &n, scope{upload: upload}.kept(query, "upload"))
	})
	return n, err
}

// ShardsOfFiles returns the keys of the shards that hold the content of some files, whether their own or shared.
func (r *Repository) ShardsOfFiles(ctx context.Context, entries []int64) (shards []int64, err error) {
	if len(entries) == 0 {
		return nil, ctx.Err()
	}

	found := map[int64]struct{}{}
	for ids := range slices.Chunk(entries, core.KeysAtOnce) {
		owners := sq.Select("COALESCE(origin, id)").From("entries").Where(r.db.Among("id", ids))
		var some []int64
		err := r.db.ReadAll(ctx, "shards of files", &some, sq.Select("shard").Distinct().From("segments").
			Where(core.Within("entry", owners)))
		if err != nil {
			return nil, err
		}
		for _, shard := range some {
			found[shard] = struct{}{}
		}
	}

	return slices.Sorted(maps.Keys(found)), nil
}

// Suspects returns the keys of the packed shards of a space with a node that has half of the digest of a block that
// the space lacks: the other half may be wrong. It reads all nodes.
func (r *Repository) Suspects(ctx context.Context, space int64, digests []Digest) (shards []int64, err error) {
	if len(digests) == 0 {
		return nil, ctx.Err()
	}
	prefixes, suffixes := make([]int64, len(digests)), make([][]byte, len(digests))
	for i, digest := range digests {
		prefixes[i], suffixes[i] = schema.SplitDigest(digest[:])
	}

	err = r.db.ReadAll(ctx, "look for nodes that are half right", &shards,
		sq.Select("shards.id").Distinct().From("nodes").Join("shards ON shards.id = nodes.shard").
			Join("uploads ON uploads.id = shards.upload").Join("sources ON sources.id = uploads.source").
			Where(sq.Eq{"sources.space": space, "shards.state": ShardPacked}).
			Where(sq.Or{r.db.Among("nodes.prefix", prefixes), sq.Eq{"nodes.suffix": suffixes}}).
			OrderBy("shards.id"))
	return shards, err
}
