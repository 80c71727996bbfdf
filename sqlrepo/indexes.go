package sqlrepo

import (
	"context"
	"fmt"
	"iter"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// IndexState is the state of an index. The values are stored, and agree with those of shards.
type IndexState int16

// The states of indexes.
const (
	IndexStored IndexState = 3
	// IndexRemoving indexes no longer cover any shard. Their files and rows are about to be deleted.
	IndexRemoving IndexState = 5
)

func (s IndexState) String() string {
	switch s {
	case IndexStored:
		return "stored"
	case IndexRemoving:
		return "removing"
	}
	return "unknown"
}

// Index says where the blocks of some shards lie. It is a file of the store, beside the shards.
type Index struct {
	ID     int64 `db:"id"`
	Upload int64 `db:"upload"`
	// Ordinal counts the indexes of the upload.
	Ordinal int64      `db:"ordinal"`
	State   IndexState `db:"state"`
	// Layout is the format of the file, Root the CID that it names as its content.
	Layout string `db:"layout"`
	Root   CID    `db:"root_cid"`
	// Shards is the number of shards that the index covers, Slices the number of slices in it, Size its length.
	Shards int64 `db:"shards"`
	Slices int64 `db:"slices"`
	Size   int64 `db:"size"`
	// Digest is the sha2-256 digest of the file.
	Digest []byte `db:"digest"`
	// Store is the identity of its upload's store, which has the file.
	Store string `db:"store"`
}

// The layout and size of indexes for uploads that do not set them.
const (
	DefaultIndexLayout = "storacha"
	DefaultIndexSlices = 26_000
)

// MaxIndexSlices is the most slices that an index of any layout has.
const MaxIndexSlices = 131_072

// IndexFilter narrows a list of indexes; nil means all.
type IndexFilter struct {
	Space, Upload *int64
	States        []IndexState
}

// Indexes yields indexes by key.
func (r *Repository) Indexes(ctx context.Context, filter IndexFilter) iter.Seq2[Index, error] {
	query := sq.Select(schema.IndexFields...).From("indexes").OrderBy("id")
	if filter.Upload != nil {
		query = query.Where(sq.Eq{"upload": *filter.Upload})
	}
	if filter.Space != nil {
		query = query.Where(core.Within("upload", sq.Select("id").From("uploads").Where(schema.InSpace(*filter.Space))))
	}
	if filter.States != nil {
		query = query.Where(sq.Eq{"state": filter.States})
	}

	behind := func(last Index) sq.Sqlizer { return sq.Gt{"id": last.ID} }
	return core.Rows(ctx, r.db, "read indexes", query, behind)
}

// Index returns the index with this key, or ErrNotFound.
func (r *Repository) Index(ctx context.Context, id int64) (index Index, err error) {
	err = r.db.ReadOne(ctx, fmt.Sprintf("index %d", id), &index,
		sq.Select(schema.IndexFields...).From("indexes").Where(sq.Eq{"id": id}))
	return index, err
}

// IndexByDigest returns the first stored index whose bytes have this digest, or ErrNotFound.
func (r *Repository) IndexByDigest(ctx context.Context, digest Digest) (index Index, err error) {
	err = r.db.ReadOne(ctx, "look for the index", &index,
		sq.Select(schema.IndexFields...).From("indexes").
			Where(sq.Eq{"digest": digest[:], "state": IndexStored}).OrderBy("id").Limit(1))
	return index, err
}

// Indexable is a packed shard with what an index needs to know about it.
type Indexable struct {
	ID      int64  `db:"id"`
	Upload  int64  `db:"upload"`
	Ordinal int64  `db:"ordinal"`
	Size    int64  `db:"size"`
	Nodes   int64  `db:"nodes"`
	Digest  []byte `db:"digest"`
	// Layout is the layout of its own upload's indexes, "" if that upload is from before there were indexes.
	Layout string `db:"layout"`
}

func indexables() sq.SelectBuilder {
	return sq.Select("id", "upload", "ordinal", "size", "nodes", "digest").
		Column("(SELECT index_layout FROM uploads AS own WHERE own.id = shards.upload) AS layout").From("shards").
		Where(sq.Eq{"shards.state": ShardPacked})
}

// Uncovered yields, by upload and ordinal, the packed shards of a space that no index covers and whose upload gets
// no further shards: those of the given upload, if any, and of all uploads that have ended. It leaves out shards
// that have more blocks than an index has room for.
func (r *Repository) Uncovered(ctx context.Context, space, upload int64) iter.Seq2[Indexable, error] {
	ended := sq.Or{sq.Eq{"id": upload}, sq.Eq{"state": []UploadState{Complete, Incomplete, Removed}}}
	query := indexables().Where(sq.Eq{"blob_index": nil}).Where(sq.Lt{"nodes": MaxIndexSlices}).OrderBy(
		"upload", "ordinal").
		Where(core.Within("upload", sq.Select("id").From("uploads").Where(schema.InSpace(space)).Where(ended)))

	behind := func(last Indexable) sq.Sqlizer {
		return sq.Or{sq.Gt{"upload": last.Upload},
			sq.And{sq.Eq{"upload": last.Upload}, sq.Gt{"ordinal": last.Ordinal}}}
	}

	return core.Rows(ctx, r.db, "look for shards without index", query, behind)
}

// Covered lists, by upload and ordinal, the shards that an index covers.
func (r *Repository) Covered(ctx context.Context, index int64) (shards []Indexable, err error) {
	err = r.db.ReadAll(ctx, "look for the shards of the index", &shards,
		indexables().Where(sq.Eq{"blob_index": index}).OrderBy("upload", "ordinal"))
	return shards, err
}

// ShardNode is a node and the shard that it is in.
type ShardNode struct {
	Shard int64
	Node
}

// NodesOf passes the nodes of some shards to take, by shard and position, row by row from one query. If the
// database goes away meanwhile, NodesOf starts over. It calls begin before each start.
func (r *Repository) NodesOf(ctx context.Context, shards []int64, begin func(), take func(ShardNode) error) error {
	query := sq.Select("shard", "prefix", "position", "length", "codec", "suffix").From("nodes").
		Where(r.db.Among("shard", shards)).OrderBy("shard", "position")

	return r.db.Retry(ctx, "read the nodes of shards", func() error {
		begin()
		return r.db.Reader.Stream(ctx, query, func(rows *sqlx.Rows) error {
			var row nodeRow
			var shard int64
			err := rows.Scan(&shard, &row.Prefix, &row.Position, &row.Length, &row.Codec, &row.Suffix)
			if err != nil {
				return err
			}

			node, err := row.node()
			if err != nil {
				return fmt.Errorf("shard %d: %w", shard, err)
			}

			return take(ShardNode{shard, node})
		})
	})
}

// LatestComplete returns the latest complete upload of a space, or ErrNotFound.
func (r *Repository) LatestComplete(ctx context.Context, space int64) (upload Upload, err error) {
	err = r.db.ReadOne(ctx, "look for a complete upload", &upload,
		sq.Select(schema.UploadFields...).From("uploads").
			Where(schema.InSpace(space)).Where(sq.Eq{"state": Complete}).OrderBy("id DESC").Limit(1))
	return upload, err
}
