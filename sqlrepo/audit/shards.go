package audit

import (
	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

func shardRules(s scope) []rule {
	shards := func(is, want string) sq.SelectBuilder {
		return s.keptShards(flawed("shards.upload", "shards.id", "0", is, want).From("shards"))
	}
	sums := sq.Select("shard", "SUM(length) AS bytes").From("segments").GroupBy("shard")
	settled := sq.Eq{"shards.state": []sqlrepo.ShardState{sqlrepo.ShardPacked, sqlrepo.ShardEmpty}}

	return []rule{
		{FlawShardKind, "%[1]d is no kind of a shard, or %[2]d no state that this kind has", shards("kind", "state").
			Where("(kind NOT IN (?, ?) OR state NOT IN (?, ?, ?) OR kind = ? AND state = ?)",
				int64(sqlrepo.DataShard), int64(sqlrepo.DAGShard),
				int64(sqlrepo.ShardPlanned), int64(sqlrepo.ShardPacked), int64(sqlrepo.ShardEmpty),
				int64(sqlrepo.DAGShard), int64(sqlrepo.ShardPlanned))},
		{FlawShardFields, "it is packed without digest or size, or has one of these and is not", shards("0", "0").
			Where("CASE WHEN state = ? THEN digest IS NULL OR LENGTH(digest) <> 32 OR size <= 0 "+
				"OR nodes <= 0 ELSE digest IS NOT NULL OR size <> 0 OR nodes <> 0 END",
				int64(sqlrepo.ShardPacked))},
		{FlawShardDigests, "it has digests of %[1]d bytes for %[2]d chunks", shards("LENGTH(digests)", "chunks").
			Where("CASE WHEN state = ? OR kind = ? THEN digests IS NOT NULL "+
				"ELSE COALESCE(LENGTH(digests), nodes * 32) <> chunks * 32 END",
				int64(sqlrepo.ShardPlanned), int64(sqlrepo.DAGShard))},
		{FlawShardContent, "it holds %[1]d bytes of the source, and its segments have %[2]d", shards("content", "sums.bytes").
			JoinClause(sq.ConcatExpr("LEFT JOIN (", sums, ") AS sums ON sums.shard = shards.id")).Where(settled).
			Where("(content < COALESCE(sums.bytes, 0) OR kind = ? AND content <> 0)", int64(sqlrepo.DAGShard))},
		{FlawShardUnpacked, "its upload is past packing, and it is not packed",
			shards("0", "0").Join("uploads ON uploads.id = shards.upload").
				Where(sq.Eq{"shards.state": sqlrepo.ShardPlanned, "uploads.state": []sqlrepo.UploadState{
					sqlrepo.Linking, sqlrepo.Indexing, sqlrepo.Complete,
				}})},
		{FlawShardPiece, "the root of its piece CID has %[1]d bytes instead of %[2]d", shards("LENGTH(shards.piece)", "32").
			Join("uploads ON uploads.id = shards.upload").Where(sq.Eq{"shards.state": sqlrepo.ShardPacked}).
			Where("COALESCE(LENGTH(shards.piece), CASE WHEN uploads.piece_cid = 0 THEN 32 ELSE 0 END) <> 32")},
		{FlawShardPiece, "it has a piece CID, and no file", shards("0", "0").
			Where(sq.NotEq{"state": sqlrepo.ShardPacked, "piece": nil})},
		{FlawBlockTwice, "a block of it is stored in shard %[1]d too, and in %[2]d places in all", twice(s)},
	}
}

// twice finds the blocks that a space holds more than once in a store. Most digests differ in their first 64 bits,
// so the index on these leaves few blocks to compare.
func twice(s scope) sq.SelectBuilder {
	again := sq.Select("prefix").From("nodes").GroupBy("prefix").Having("COUNT(*) > 1")
	apart := sq.ConcatExpr("CASE WHEN ", sq.Eq{"store": s.apart}, " THEN id ELSE 0 END AS apart")
	uploads := sq.Select("id", "source", "store").Column(apart).From("uploads")

	query := flawed("MAX(shards.upload)", "MAX(shards.id)", "0", "MIN(shards.id)", "COUNT(*)").From("nodes").
		Join("shards ON shards.id = nodes.shard").
		JoinClause(sq.ConcatExpr("JOIN (", uploads, ") AS uploads ON uploads.id = shards.upload")).
		Join("sources ON sources.id = uploads.source").Where(core.Within("nodes.prefix", again)).
		Where(sq.NotEq{"shards.state": sqlrepo.ShardRemoving}).
		GroupBy("sources.space", "uploads.store", "uploads.apart", "nodes.prefix", "nodes.suffix").Having("COUNT(*) > 1")

	if s.upload != nil {
		query = query.Having("MAX(CASE WHEN shards.upload = ? THEN 1 ELSE 0 END) = 1", *s.upload)
	}
	return query
}
