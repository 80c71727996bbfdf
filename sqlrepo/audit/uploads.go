package audit

import (
	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

func uploadRules(s scope) []rule {
	uploads := func(is, want string) sq.SelectBuilder {
		return s.of(flawed("uploads.id", "0", "0", is, want), "uploads.id").From("uploads")
	}
	complete := sq.Eq{"uploads.state": sqlrepo.Complete}

	return append([]rule{
		{FlawUploadState, "%[1]d is no state of an upload",
			uploads("state", "0").Where("state NOT BETWEEN ? AND ?", int64(sqlrepo.Scanning), int64(sqlrepo.Indexing))},
		{FlawUploadRoot, "it is linked without a root CID, or has one and is not", uploads("LENGTH(root_cid)", "0").
			Where("CASE WHEN state IN (?, ?) THEN root_cid IS NULL OR LENGTH(root_cid) <> ? ELSE root_cid IS NOT NULL END",
				int64(sqlrepo.Complete), int64(sqlrepo.Indexing), schema.CIDLength)},
		{FlawUploadFinished, "it is complete without an end, or ended and is not", uploads("0", "0").
			Where("CASE WHEN state = ? THEN finished_at IS NULL ELSE finished_at IS NOT NULL END", int64(sqlrepo.Complete))},
		{FlawUploadStop, "it has the reason of a stop without its time, or the other way round, or is done and has either",
			uploads("0", "0").Where(sq.Or{
				sq.Expr("(stopped_at IS NULL) <> (stop_reason IS NULL)"),
				sq.And{sq.NotEq{"stopped_at": nil}, sq.Eq{"uploads.state": sqlrepo.ClosedStates}},
			})},
		{FlawUploadUnlinked, "nobody links or indexes it: that has failed again and again and was set aside, or " +
			"there is a newer upload",
			uploads("0", "0").Where(sq.Eq{"uploads.token": 0}).
				Where(sq.Eq{"uploads.state": []sqlrepo.UploadState{sqlrepo.Linking, sqlrepo.Indexing}}).
				Where(sq.Or{sq.NotEq{"uploads.set_aside_at": nil}, superseded()})},
		{FlawUploadCounts, "it counts %[1]d files and directories where %[2]d entries are linked, or other symlinks or bytes",
			joinCounts(uploads("uploads.files + directories", "c.files + c.dirs")).Where(complete).
				Where("(uploads.files <> COALESCE(c.files, 0) OR directories <> COALESCE(c.dirs, 0) OR " +
					"links <> COALESCE(c.symlinks, 0) OR uploads.bytes <> COALESCE(c.bytes, 0))")},
	}, tallyRules(uploads)...)
}

// superseded matches uploads whose source has a newer upload.
func superseded() sq.Sqlizer {
	newer := sq.Select("1").From("uploads AS newer").Where(
		"newer.source = uploads.source AND newer.id > uploads.id").
		Where(sq.NotEq{"newer.state": sqlrepo.Removed})
	return sq.ConcatExpr("EXISTS (", newer, ")")
}

// joinCounts joins each upload with the counts of the entries under its root.
func joinCounts(query sq.SelectBuilder) sq.SelectBuilder {
	kind := func(kind sqlrepo.EntryKind, what string) sq.Sqlizer {
		return sq.Expr("SUM(CASE WHEN kind = ? THEN "+what+" ELSE 0 END)", int64(kind))
	}
	counts := sq.Select("upload").Column(sq.Alias(kind(sqlrepo.File, "1"), "files")).
		Column(sq.Alias(kind(sqlrepo.Directory, "1"), "dirs")).Column(sq.Alias(kind(sqlrepo.Symlink, "1"), "symlinks")).
		Column(sq.Alias(kind(sqlrepo.File, "size"), "bytes")).
		From("entries").Where(sq.Eq{"state": sqlrepo.LinkableStates}).GroupBy("upload")
	return query.JoinClause(sq.ConcatExpr("LEFT JOIN (", counts, ") AS c ON c.upload = uploads.id"))
}

// tallied narrows a query to uploads whose tally must agree with their rows. A scan counts again when it ends, and
// uploads completed before there were tallies have none.
func tallied(query sq.SelectBuilder) sq.SelectBuilder {
	return query.Where(sq.NotEq{"uploads.state": sqlrepo.Scanning}).
		Where("(uploads.state <> ? OR found_entries <> 0 OR planned_shards <> 0 OR linked_entries <> 0)",
			int64(sqlrepo.Complete))
}

func tallyRules(uploads func(is, want string) sq.SelectBuilder) []rule {
	complete := sq.Eq{"uploads.state": sqlrepo.Complete}
	roots := sq.Select("upload", "COUNT(*) AS n").From("roots").Join("entries ON entries.id = roots.entry").
		GroupBy("upload")
	entries := sq.Select("upload", "COUNT(*) AS n").From("entries").GroupBy("upload")
	open := sq.Select("upload", "MIN(ordinal) AS first").From("shards").
		Where(sq.Eq{"state": sqlrepo.ShardPlanned, "set_aside_at": nil}).GroupBy("upload")

	join := func(query, with sq.SelectBuilder, as string) sq.SelectBuilder {
		return query.JoinClause(sq.ConcatExpr("LEFT JOIN (", with, ") AS "+as+" ON "+as+".upload = uploads.id"))
	}

	return []rule{
		{FlawTallyEntries, "its tally has %[1]d entries, and there are %[2]d",
			join(tallied(uploads("found_entries", "e.n")), entries, "e").Where("found_entries <> COALESCE(e.n, 0)")},
		{FlawTallyEntries, "its tally has %[1]d linked entries, and there are %[2]d",
			join(tallied(uploads("linked_entries", "r.n")), roots, "r").Where(complete).
				Where("linked_entries <> COALESCE(r.n, 0)")},
		{FlawTallyShards, "its tally of shards, %[1]d planned and others settled or set aside, is not what there is: %[2]d",
			join(tallied(uploads("planned_shards", "s.planned")), shardTally(), "s").
				Where("(planned_shards <> COALESCE(s.planned, 0) OR settled_shards <> COALESCE(s.settled, 0) OR " +
					"aside_shards <> COALESCE(s.aside, 0))")},
		{FlawTallySealed, "the next shard to be sealed is %[1]d by its tally, and %[2]d by its shards",
			join(uploads("sealed", "o.first"), open, "o").Where(sq.Eq{"uploads.state": sqlrepo.Packing}).
				Where("sealed <> o.first")},
		{FlawTallySegments, "its tally of bytes, %[1]d planned, or of files is not what its segments add up to: %[2]d",
			join(tallied(uploads("planned_bytes", "g.bytes")), segmentTally(), "g").
				Where("(planned_files <> COALESCE(g.files, 0) OR planned_bytes <> COALESCE(g.bytes, 0) OR " +
					"uploads.packed_files <> COALESCE(g.packed_files, 0) OR uploads.packed_bytes <> COALESCE(g.packed_bytes, 0))")},
	}
}

func shardTally() sq.SelectBuilder {
	n := func(state sqlrepo.ShardState) sq.Sqlizer {
		return sq.Expr("SUM(CASE WHEN state <> ? THEN 1 ELSE 0 END)", int64(state))
	}
	aside := sq.Expr("SUM(CASE WHEN state = ? AND set_aside_at IS NOT NULL THEN 1 ELSE 0 END)",
		int64(sqlrepo.ShardPlanned))
	return sq.Select("upload", "COUNT(*) AS planned").Column(sq.Alias(n(sqlrepo.ShardPlanned), "settled")).
		Column(sq.Alias(aside, "aside")).From("shards").Where(sq.Eq{"kind": sqlrepo.DataShard}).GroupBy("upload")
}

func segmentTally() sq.SelectBuilder {
	packed := func(what string) sq.Sqlizer {
		return sq.Expr("SUM(CASE WHEN shards.state <> ? THEN "+what+" ELSE 0 END)", int64(sqlrepo.ShardPlanned))
	}
	begins := "CASE WHEN file_offset = 0 THEN 1 ELSE 0 END"
	return sq.Select("shards.upload AS upload", "SUM("+begins+") AS files", "SUM(length) AS bytes").
		Column(sq.Alias(packed(begins), "packed_files")).Column(sq.Alias(packed("length"), "packed_bytes")).
		From("segments").Join("shards ON shards.id = segments.shard").GroupBy("shards.upload")
}
