package audit

import (
	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

func entryRules(s scope) []rule {
	entries := func(is string) sq.SelectBuilder {
		return s.kept(flawed("entries.upload", "0", "entries.id", is, "0"), "entries.upload").From("entries")
	}
	sharers := func(is string) sq.SelectBuilder {
		return s.of(entries(is), "entries.upload").Where(sq.NotEq{"entries.origin": nil})
	}

	covered := sq.Select("SUM(length)").From("segments").Where("segments.entry = entries.origin")
	finished := func(query sq.SelectBuilder) sq.SelectBuilder {
		return query.Join("uploads ON uploads.id = entries.upload").Where(sq.Eq{"uploads.state": sqlrepo.Complete})
	}
	root := func(is string) sq.SelectBuilder {
		return entries(is).LeftJoin("roots ON roots.entry = entries.id")
	}
	linked := sq.Eq{"entries.state": sqlrepo.LinkableStates}

	return []rule{
		{FlawEntryKind, "%[1]d is no kind that can be linked, or its size or target is not of that kind",
			entries("kind").Where(linked).Where("(kind NOT BETWEEN ? AND ? OR size < 0 OR kind <> ? AND size <> 0 "+
				"OR (kind = ?) <> (target IS NOT NULL))",
				int64(sqlrepo.File), int64(sqlrepo.Symlink), int64(sqlrepo.File), int64(sqlrepo.Symlink))},
		{FlawEntryState, "%[1]d is no state of an entry, or one without a reason that needs it, or with one that has none",
			entries("entries.state").Where("(state NOT BETWEEN ? AND ? OR (state IN (?, ?, ?)) <> (reason IS NOT NULL))",
				int64(sqlrepo.Ready), int64(sqlrepo.Unreachable),
				int64(sqlrepo.Changed), int64(sqlrepo.Failed), int64(sqlrepo.Unsupported))},
		{FlawEntryUnsettled, "its upload is complete, and it is neither linked nor left out: its state is %[1]d",
			finished(entries("entries.state")).Where(sq.Or{sq.Eq{"entries.state": sqlrepo.Changed},
				sq.And{sq.Eq{"entries.state": []sqlrepo.EntryState{sqlrepo.Failed, sqlrepo.Unreachable}, "uploads.skip_failed": 0},
					// Older uploads have no store and do not record what they skip.
					sq.NotEq{"uploads.store": nil}}})},
		{FlawEntryUnlinked, "its upload is complete, and it has no root",
			finished(root("0")).Where(linked).Where(sq.Eq{"entries.origin": nil, "roots.entry": nil})},
		{FlawRootStray, "it has a root, and is left out or has the content of another",
			finished(entries("entries.state").Join("roots ON roots.entry = entries.id")).
				Where(sq.Or{sq.NotEq{"entries.state": sqlrepo.LinkableStates}, sq.NotEq{"entries.origin": nil}})},
		{FlawRootMalformed, "its root is no CID of a block", entries("LENGTH(cid)").Join("roots ON roots.entry = entries.id").
			Where("(LENGTH(cid) <> ? OR dag_size < 0)", schema.CIDLength)},
		{FlawOriginLost, "it has the content of entry %[1]d, which is not there or has not all of it",
			sharers("entries.origin").LeftJoin("entries AS origins ON origins.id = entries.origin").
				Where(sq.Or{
					sq.Eq{"origins.id": nil}, sq.NotEq{"origins.origin": nil},
					sq.NotEq{"origins.state": sqlrepo.LinkableStates}, sq.NotEq{"origins.kind": sqlrepo.File},
					sq.NotEq{"entries.kind": sqlrepo.File}, sq.Expr("origins.size <> entries.size"),
					sq.ConcatExpr("COALESCE((", covered, "), -1) <> entries.size"),
				})},
		{FlawOriginRoot, "it has the content of entry %[1]d, which has no root",
			sharers("entries.origin").LeftJoin("roots ON roots.entry = entries.origin").
				Where(sq.Eq{"roots.entry": nil})},
		{FlawSegmentStray, "it is in shard %[2]d, and is no file with content of its own",
			segmentsOf(s, "entries.state", "segments.shard").Where(sq.Or{
				sq.NotEq{"entries.kind": sqlrepo.File}, sq.NotEq{"entries.origin": nil},
				sq.NotEq{"entries.state": []sqlrepo.EntryState{sqlrepo.Ready, sqlrepo.Rescanned, sqlrepo.Unreachable}},
			})},
		{FlawSegmentShard, "it is in shard %[2]d, which is not a data shard of its upload",
			segmentsOf(s, "0", "segments.shard").Join("shards ON shards.id = segments.shard").
				Where(sq.Or{sq.Expr("shards.upload <> entries.upload"), sq.NotEq{"shards.kind": sqlrepo.DataShard}})},
	}
}

func segmentsOf(s scope, is, want string) sq.SelectBuilder {
	return s.kept(flawed("entries.upload", "segments.shard", "entries.id", is, want), "entries.upload").
		From("segments").Join("entries ON entries.id = segments.entry")
}
