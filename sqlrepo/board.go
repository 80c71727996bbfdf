package sqlrepo

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// OpenUpload is an unfinished upload and the work that it offers now.
type OpenUpload struct {
	Upload
	Space int64 `db:"space"`
	// Claimable is true if the upload's stage can be claimed now.
	Claimable bool `db:"claimable"`
	// NextShard is the ordinal of the first shard that can be claimed, nil if there is none.
	NextShard *int64 `db:"next_shard"`
	// Now is the time by the database's clock.
	Now Time `db:"now"`
}

// OpenFilter narrows a list of unfinished uploads; nil means all.
type OpenFilter struct {
	Spaces  []int64
	Uploads []int64
}

// OpenUploads lists, by key, the uploads that are neither complete nor removed. It costs one query, which reads no
// large table: workers without work run it now and then.
func (r *Repository) OpenUploads(ctx context.Context, filter OpenFilter) (open []OpenUpload, err error) {
	// All shards below sealed are settled or set aside.
	next := sq.Select("ordinal").From("shards").
		Where("shards.upload = uploads.id AND ordinal >= uploads.sealed").
		Where(sq.Eq{"uploads.state": Packing, "shards.state": ShardPlanned}).Where(r.claimable()).
		OrderBy("ordinal").Limit(1)
	space := sq.Select("space").From("sources").Where("sources.id = uploads.source")

	query := sq.Select(schema.UploadFields...).Column(sq.Alias(space, "space")).
		Column(sq.Alias(sq.And{sq.Eq{"state": exclusive}, r.claimable()}, "claimable")).
		Column(sq.Alias(next, "next_shard")).Column(sq.Alias(r.db.At(0), "now")).
		From("uploads").Where(sq.NotEq{"state": ClosedStates}).OrderBy("id")

	if filter.Uploads != nil {
		query = query.Where(r.db.Among("id", filter.Uploads))
	}
	if filter.Spaces != nil {
		sources := sq.Select("id").From("sources").Where(r.db.Among("space", filter.Spaces))
		query = query.Where(core.Within("source", sources))
	}

	err = r.db.ReadAll(ctx, "look for work", &open, query)
	return open, err
}

// ShardsUnderWay lists, by ordinal, the planned shards of an upload that are claimed, have failed or were set
// aside.
func (r *Repository) ShardsUnderWay(ctx context.Context, upload int64) (shards []Shard, err error) {
	// SQLite uses an index that has a condition only for a query that has the same one, without parameters.
	const underWay = "(token <> 0 OR retry_at IS NOT NULL OR set_aside_at IS NOT NULL)"
	query := sq.Select(schema.ShardFields...).From("shards").
		Where(sq.Eq{"upload": upload, "state": ShardPlanned}).Where(underWay).OrderBy("ordinal")
	err = r.db.ReadAll(ctx, "list shards under way", &shards, query)
	return shards, err
}
