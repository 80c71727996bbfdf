package audit

import (
	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// indexRules checks indexes and the shards that they cover. The found value of a rule is the key of the index,
// unless the rule says otherwise.
func indexRules(s scope) []rule {
	indexes := s.kept(flawed("indexes.upload", "0", "0", "indexes.id", "0"), "indexes.upload").From("indexes")
	stored := indexes.Where(sq.Eq{"indexes.state": sqlrepo.IndexStored})
	covered := sq.Select("blob_index", "COUNT(*) AS n", "SUM(nodes) + COUNT(*) AS slices").From("shards").
		Where(sq.NotEq{"blob_index": nil}).GroupBy("blob_index")
	shards := s.kept(flawed("shards.upload", "shards.id", "0", "shards.blob_index", "0"), "shards.upload").From("shards")

	return []rule{
		{FlawIndexFields, "index %[1]d has no digest, size, root, layout or no state of an index", indexes.
			Where("(indexes.state NOT IN (?, ?) OR LENGTH(digest) <> 32 OR LENGTH(indexes.root_cid) <> ? OR size <= 0 OR "+
				"layout = '' OR shards <= 0 OR slices <= shards)",
				int64(sqlrepo.IndexStored), int64(sqlrepo.IndexRemoving), schema.CIDLength)},
		{FlawIndexShards, "index %[1]d covers other shards, or other blocks, than its row counts", stored.
			JoinClause(sq.ConcatExpr("LEFT JOIN (", covered, ") AS c ON c.blob_index = indexes.id")).
			Where("(shards <> COALESCE(c.n, 0) OR indexes.slices <> COALESCE(c.slices, 0))")},
		{FlawIndexRoot, "index %[1]d names another root than its upload has", stored.
			Join("uploads ON uploads.id = indexes.upload").Where(sq.Eq{"uploads.state": sqlrepo.RootedStates}).
			Where("indexes.root_cid <> uploads.root_cid")},
		{FlawShardIndex, "it names index %[1]d, which is not there, or is not packed", shards.
			LeftJoin("indexes ON indexes.id = shards.blob_index AND indexes.state = ?", int64(sqlrepo.IndexStored)).
			Where(sq.NotEq{"blob_index": nil}).
			Where("(indexes.id IS NULL OR shards.state <> ?)", int64(sqlrepo.ShardPacked))},
		{FlawShardUnindexed, "%[1]d of its shards are in no index", unindexed(s).
			Where("nodes < ? AND index_layout <> ''", sqlrepo.MaxIndexSlices)},
		{FlawUploadUnindexed, "%[1]d of its shards are in no index: it is from before there were indexes", unindexed(s).
			Where("nodes < ? AND index_layout = ''", sqlrepo.MaxIndexSlices)},
		{FlawShardOverfull, "%[1]d of its shards are in no index: they have more blocks than one has room for", unindexed(s).
			Where("nodes >= ?", sqlrepo.MaxIndexSlices)},
	}
}

// unindexed counts the shards of complete uploads that no index covers. It leaves out spaces where an index is
// being removed: others are about to take its place.
func unindexed(s scope) sq.SelectBuilder {
	removing := sq.Select("1").From("indexes").Join("uploads AS u ON u.id = indexes.upload").
		Join("sources AS o ON o.id = u.source").Where("o.space = sources.space").
		Where(sq.Eq{"indexes.state": sqlrepo.IndexRemoving})

	return s.kept(flawed("uploads.id", "0", "0", "COUNT(*)", "0"), "uploads.id").From("shards").
		Join("uploads ON uploads.id = shards.upload").Join("sources ON sources.id = uploads.source").
		Where(sq.Eq{"shards.state": sqlrepo.ShardPacked, "blob_index": nil, "uploads.state": sqlrepo.Complete}).
		Where(sq.ConcatExpr("NOT EXISTS (", removing, ")")).GroupBy("uploads.id")
}

// ofIndex reports whether the found value of a flaw is the key of an index.
func ofIndex(code string) bool {
	return code == FlawIndexFields || code == FlawIndexShards || code == FlawIndexRoot || code == FlawShardIndex
}
