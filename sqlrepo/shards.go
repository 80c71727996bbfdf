package sqlrepo

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"iter"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// ShardKind says what a shard holds. The values are stored.
type ShardKind int16

// The kinds of shards.
const (
	// DataShard holds the chunks of files.
	DataShard ShardKind = iota + 1
	// DAGShard holds the nodes above the chunks: those of files with many chunks, of directories and of symlinks.
	DAGShard
)

func (k ShardKind) String() string {
	switch k {
	case DataShard:
		return "data"
	case DAGShard:
		return "dag"
	}
	return "unknown"
}

// ShardState says how far a shard is. The values are stored.
type ShardState int16

// The states of shards.
const (
	ShardPlanned ShardState = 1
	ShardPacked  ShardState = 3
	// ShardEmpty shards turned out to hold nothing that is not stored elsewhere. They have no file.
	ShardEmpty ShardState = 4
	// ShardRemoving shards are no longer needed. Their blocks do not count as held while they are deleted.
	ShardRemoving ShardState = 5
)

func (s ShardState) String() string {
	switch s {
	case ShardPlanned:
		return "planned"
	case ShardPacked:
		return "packed"
	case ShardEmpty:
		return "empty"
	case ShardRemoving:
		return "removing"
	}
	return "unknown"
}

// Shard is one CAR file of an upload.
type Shard struct {
	ID      int64      `db:"id"`
	Upload  int64      `db:"upload"`
	Ordinal int64      `db:"ordinal"`
	Kind    ShardKind  `db:"kind"`
	State   ShardState `db:"state"`
	// PlannedSize is the length of the CAR file if everything planned is packed.
	PlannedSize int64 `db:"planned_size"`
	// Chunks is the number of planned chunks.
	Chunks int64 `db:"chunks"`
	// Size is the length of the CAR file, Content the length of the source bytes in it, Nodes the number of its
	// blocks.
	Size    int64 `db:"size"`
	Content int64 `db:"content"`
	Nodes   int64 `db:"nodes"`
	// Digest is the sha2-256 digest of the CAR file.
	Digest []byte `db:"digest"`
	// Store is the identity of its upload's store, which has the file.
	Store string `db:"store"`
	// Index is the key of the index that covers the shard, 0 if none does.
	Index int64 `db:"blob_index"`
	// Piece is the 32 bytes at the root of its piece CID, nil if they are not known.
	Piece []byte `db:"piece"`
	// Lease is the lease on the packing of a planned shard.
	Lease
}

// Node is one block of a shard.
type Node struct {
	// Position is where the block's bytes begin in the shard, behind their length and CID.
	Position int32
	Length   int32
	Codec    uint8
	Digest   Digest
}

func shardValues(s Shard) []any {
	return []any{s.ID, s.Upload, s.Ordinal, int64(s.Kind), int64(s.State), s.Token, s.PlannedSize, s.Chunks, s.Size,
		s.Content, s.Nodes, s.Digest, nil, core.Nullable(s.Index, 0), s.Piece}
}

// nameShards gives new shards of the stage's upload their keys.
func nameShards(ctx context.Context, tx *core.Tx, stage Stage, shards []*Shard) error {
	if len(shards) == 0 {
		return nil
	}
	first, err := tx.NextIDs(ctx, "shards", len(shards))
	if err != nil {
		return err
	}
	for i, shard := range shards {
		shard.ID, shard.Upload = first+int64(i), stage.Upload.ID
	}
	return nil
}

func insertShards(ctx context.Context, tx *core.Tx, shards []*Shard) error {
	return tx.BulkInsert(ctx, "shards", schema.ShardColumns, len(shards), func(i int) []any {
		return shardValues(*shards[i])
	})
}

// InsertNodes adds the nodes of a shard. It is for the packages below this one too.
func InsertNodes(ctx context.Context, tx *core.Tx, shard int64, nodes []Node) error {
	row := make([]any, len(schema.NodeColumns))
	return tx.BulkInsert(ctx, "nodes", schema.NodeColumns, len(nodes), func(i int) []any {
		n := &nodes[i]
		prefix, suffix := schema.SplitDigest(n.Digest[:])
		row[0], row[1], row[2], row[3] = prefix, shard, int64(n.Position), int64(n.Length)
		row[4], row[5] = int64(n.Codec), suffix
		return row
	})
}

// Shard returns the shard with this key, or ErrNotFound.
func (r *Repository) Shard(ctx context.Context, id int64) (shard Shard, err error) {
	err = r.db.ReadOne(ctx, fmt.Sprintf("shard %d", id), &shard,
		sq.Select(schema.ShardFields...).From("shards").Where(sq.Eq{"id": id}))
	return shard, err
}

// StoredShard returns the packed shard with this key, or ErrNotFound.
func (r *Repository) StoredShard(ctx context.Context, id int64) (shard Shard, err error) {
	err = r.db.ReadOne(ctx, fmt.Sprintf("shard %d", id), &shard,
		sq.Select(schema.ShardFields...).From("shards").Where(sq.Eq{"id": id, "state": ShardPacked}))
	return shard, err
}

// ShardFilter narrows a list of shards; nil means all.
type ShardFilter struct {
	States []ShardState
	Kind   *ShardKind
}

// Shards yields an upload's shards by ordinal.
func (r *Repository) Shards(ctx context.Context, upload int64, filter ShardFilter) iter.Seq2[Shard, error] {
	query := sq.Select(schema.ShardFields...).From("shards").Where(sq.Eq{"upload": upload}).OrderBy("ordinal")
	if filter.States != nil {
		query = query.Where(sq.Eq{"state": filter.States})
	}
	if filter.Kind != nil {
		query = query.Where(sq.Eq{"kind": *filter.Kind})
	}
	behind := func(last Shard) sq.Sqlizer { return sq.Gt{"ordinal": last.Ordinal} }
	return core.Rows(ctx, r.db, "read shards", query, behind)
}

// ShardsByDigest lists, by key, the packed shards whose CAR files have a digest.
func (r *Repository) ShardsByDigest(ctx context.Context, digest Digest) (shards []Shard, err error) {
	err = r.db.ReadAll(ctx, "look for the shard", &shards, sq.Select(schema.ShardFields...).From("shards").
		Where(sq.Eq{"digest": digest[:], "state": ShardPacked}).OrderBy("id"))
	return shards, err
}

// ShardDigests returns the digests of a data shard's chunks: 32 bytes for each planned chunk, in the order of the
// plan, zero for chunks that were not packed. They are stored with the shard only if its nodes do not give them.
func (r *Repository) ShardDigests(ctx context.Context, shard int64) (digests []byte, err error) {
	query := sq.Select("digests", "prefix", "suffix").From("shards").
		LeftJoin("nodes ON nodes.shard = shards.id AND shards.digests IS NULL").
		Where(sq.Eq{"shards.id": shard}).OrderBy("position")
	err = r.db.Retry(ctx, fmt.Sprintf("digests of shard %d", shard), func() error {
		digests, err = r.shardDigests(ctx, query)
		return err
	})
	return digests, err
}

// shardDigests reads row by row, since all rows at once take some room. There is one row with all digests, or one
// for each node, or one with nothing.
func (r *Repository) shardDigests(ctx context.Context, query sq.SelectBuilder) (digests []byte, err error) {
	found := false
	err = r.db.Reader.Stream(ctx, query, func(rows *sqlx.Rows) error {
		var whole, suffix []byte
		var prefix sql.NullInt64
		if err := rows.Scan(&whole, &prefix, &suffix); err != nil {
			return err
		}

		// A row without a node has all digests, or nothing.
		if found = true; !prefix.Valid {
			digests = whole
			return nil
		}

		digest, err := schema.JoinDigest(prefix.Int64, suffix)
		digests = append(digests, digest[:]...)
		return err
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return digests, err
}

// givenByNodes reports whether each chunk became a node of its own, in order. The nodes then give the digests.
func givenByNodes(digests []byte, nodes []Node) bool {
	if len(digests) != len(nodes)*len(Digest{}) {
		return false
	}
	for i, node := range nodes {
		if !bytes.Equal(digests[i*len(node.Digest):][:len(node.Digest)], node.Digest[:]) {
			return false
		}
	}
	return true
}

// nodePage is enough for all nodes of a shard that an index of 26,000 slices can cover.
const nodePage = 26_000

// nodeRow is a node as it is stored. It is found by the first 64 bits of its digest.
type nodeRow struct {
	Prefix   int64  `db:"prefix"`
	Position int32  `db:"position"`
	Length   int32  `db:"length"`
	Codec    uint8  `db:"codec"`
	Suffix   []byte `db:"suffix"`
}

func (row nodeRow) node() (Node, error) {
	digest, err := schema.JoinDigest(row.Prefix, row.Suffix)
	return Node{Position: row.Position, Length: row.Length, Codec: row.Codec, Digest: digest}, err
}

// Nodes yields a shard's nodes by position.
func (r *Repository) Nodes(ctx context.Context, shard int64) iter.Seq2[Node, error] {
	query := sq.Select("prefix", "position", "length", "codec", "suffix").From("nodes").
		Where(sq.Eq{"shard": shard}).OrderBy("position")
	behind := func(last nodeRow) sq.Sqlizer { return sq.Gt{"position": last.Position} }
	rows := core.PagesFrom(nodePage, query, behind, func(page *[]nodeRow, query sq.SelectBuilder) error {
		return r.db.Retry(ctx, "read nodes", func() error { return r.readNodes(ctx, page, query) })
	})

	return func(yield func(Node, error) bool) {
		for row, err := range rows {
			node := Node{}
			if err == nil {
				node, err = row.node()
			}
			if !yield(node, err) {
				return
			}
		}
	}
}
