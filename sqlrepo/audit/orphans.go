package audit

import (
	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// keyed lists the tables whose keys come from counters.
var keyed = []string{"spaces", "sources", "uploads", "entries", "shards", "indexes"}

func counterRules() (rules []rule) {
	for _, table := range keyed {
		highest := sq.Select("COALESCE(MAX(id), 0) AS highest").From(table)
		counter := sq.Select("COALESCE(MAX(value), -1) AS value").From("counters").Where(sq.Eq{"name": table})
		query := flawed("0", "0", "0", "counter.value", "keys.highest").FromSelect(highest, "keys").
			JoinClause(sq.ConcatExpr("CROSS JOIN (", counter, ") AS counter")).Where("counter.value < keys.highest")
		rules = append(rules, rule{FlawCounter, "the counter of " + table + " is at %[1]d, and key %[2]d is taken", query})
	}
	return rules
}

// orphan is a table whose rows belong to rows of another one.
type orphan struct{ code, table, column, parent string }

// orphans lists parents before children. DeleteOrphans deletes the rows in this order.
var orphans = []orphan{
	{FlawSourceOrphan, "sources", "space", "spaces"},
	{FlawUploadOrphan, "uploads", "source", "sources"},
	{FlawTagOrphan, "upload_tags", "upload", "uploads"},
	{FlawEntryOrphan, "entries", "upload", "uploads"},
	{FlawShardOrphan, "shards", "upload", "uploads"},
	{FlawIndexOrphan, "indexes", "upload", "uploads"},
	{FlawSegmentOrphan, "segments", "shard", "shards"},
	{FlawSegmentOrphan, "segments", "entry", "entries"},
	{FlawNodeOrphan, "nodes", "shard", "shards"},
	{FlawRootOrphan, "roots", "entry", "entries"},
}

// absent matches rows whose parent row does not exist.
func (o orphan) absent() sq.Sqlizer {
	parent := sq.Select("1").From(o.parent).Where(o.parent + ".id = " + o.table + "." + o.column)
	return sq.ConcatExpr("NOT EXISTS (", parent, ")")
}

// orphanRules counts, for each missing row, the rows that belong to it.
func orphanRules() (rules []rule) {
	for _, o := range orphans {
		upload, shard, entry := "0", "0", "0"
		switch o.parent {
		case "uploads":
			upload = o.column
		case "shards":
			shard = o.column
		case "entries":
			entry = o.column
		}

		query := flawed(upload, shard, entry, "COUNT(*)", o.column).From(o.table).Where(o.absent()).GroupBy(o.column)
		detail := "%[1]d rows of " + o.table + " belong to row %[2]d of " + o.parent + ", which is not there"
		rules = append(rules, rule{o.code, detail, query})
	}
	return rules
}

// spaceRules checks the revisions that keep the seals of a space apart. A revision of 0 means a space without
// blocks.
func spaceRules() []rule {
	settled := sq.Select("1").From("shards").Join("uploads ON uploads.id = shards.upload").
		Join("sources ON sources.id = uploads.source").Where("sources.space = spaces.id").
		Where(sq.Eq{"shards.state": []sqlrepo.ShardState{sqlrepo.ShardPacked, sqlrepo.ShardEmpty}})
	query := flawed("0", "0", "0", "revision", "spaces.id").From("spaces").Where("revision <= 0").
		Where(sq.ConcatExpr("(revision < 0 OR EXISTS (", settled, "))"))
	return []rule{{FlawSpaceRevision, "space %[2]d has the revision %[1]d, and has shards", query}}
}

// replicaRules compares what replicas are counted to lack with what they lack.
func replicaRules() []rule {
	ofStores, ofSpaces := sqlrepo.MiscountedReplicas(func(counted, lacked string) sq.SelectBuilder {
		return flawed("0", "0", "0", counted, lacked)
	})
	const detail = " is counted to lack %[1]d files, and lacks %[2]d, or their sizes differ"
	return []rule{
		{FlawReplicaCounts, "a replica of a store" + detail, ofStores},
		{FlawReplicaCounts, "a replica of a space" + detail, ofSpaces},
	}
}
