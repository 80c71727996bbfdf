package sqlrepo

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// replicaTable is a table of replicas. Each row counts what its replica lacks, in schema.LackColumns.
type replicaTable struct {
	name string
	key  []string
	// uploads are the joins that lead from a replica to the uploads whose files it is to have.
	uploads []string
}

var (
	storeReplicas = replicaTable{"replicas", []string{"store", "origin"}, []string{
		"uploads ON uploads.store = replicas.origin",
	}}
	spaceReplicas = replicaTable{"space_replicas", []string{"space", "store"}, []string{
		"sources ON sources.space = space_replicas.space",
		"uploads ON uploads.source = sources.id AND uploads.store <> space_replicas.store AND uploads.store <> '" +
			NoneStore + "'",
	}}

	// replicaTables are in the order in which their rows are locked.
	replicaTables = []replicaTable{storeReplicas, spaceReplicas}
)

// field qualifies a column.
func (t replicaTable) field(column string) string { return t.name + "." + column }

// fields qualifies the columns of the key.
func (t replicaTable) fields() (fields []string) {
	for _, column := range t.key {
		fields = append(fields, t.field(column))
	}
	return fields
}

// same matches a row of a table with its counts.
func (t replicaTable) same(counts string) string {
	return t.field(t.key[0]) + " = " + counts + "." + t.key[0] + " AND " +
		t.field(t.key[1]) + " = " + counts + "." + t.key[1]
}

// lacked selects those of some files that replicas lack, once for each replica. The column due is 1 if a complete
// upload has the file; the upload in doubt is taken for one that is not complete.
func (t replicaTable) lacked(of sq.Sqlizer, files someFiles, doubt int64) sq.SelectBuilder {
	digest, size := files.table.name+".digest", files.table.name+".size"
	due := sq.Expr("MAX(CASE WHEN uploads.state = ? AND uploads.id <> ? THEN 1 ELSE 0 END) AS due", int64(Complete), doubt)
	copied := sq.Select("1").From("copies").Where("copies.store = " + t.field("store") + " AND copies.digest = " + digest)

	lacked := sq.Select(t.fields()...).Columns(digest, size).Column(due).From(t.name)
	for _, join := range t.uploads {
		lacked = lacked.Join(join)
	}
	return lacked.Join(files.table.name+" ON "+files.table.name+".upload = uploads.id").Where(of).
		Where(sq.Eq{files.table.name + ".state": files.table.state}).Where(files.which).
		Where(sq.ConcatExpr("NOT EXISTS (", copied, ")")).GroupBy(t.fields()...).GroupBy(digest, size)
}

// counts selects what replicas lack of some files, by the key of the table and as schema.LackColumns. It leaves out
// replicas that lack none of them.
func (t replicaTable) counts(of sq.Sqlizer, files []someFiles, doubt int64) sq.SelectBuilder {
	lacked := t.lacked(of, files[0], doubt)
	for _, more := range files[1:] {
		lacked = lacked.SuffixExpr(sq.ConcatExpr("UNION ALL ", t.lacked(of, more, doubt)))
	}

	// Shards and indexes of several uploads may be the same file, which is sent once.
	return sq.Select(t.key...).Columns("COUNT(*) AS missing_files", "CAST(SUM(size) AS BIGINT) AS missing_bytes",
		"CAST(SUM(due) AS BIGINT) AS due_files", "CAST(SUM(size * due) AS BIGINT) AS due_bytes").
		FromSelect(lacked, "lacked").GroupBy(t.key...)
}

// added is the update that adds counts to the rows of the table, or subtracts them.
func (t replicaTable) added(sign string, counts sq.SelectBuilder) sq.Sqlizer {
	update := sq.Update(t.name)
	for _, column := range schema.LackColumns {
		update = update.Set(column, sq.Expr(t.field(column)+" "+sign+" counts."+column))
	}
	return update.FromSelect(counts, "counts").Where(t.same("counts"))
}

// someFiles are the files of a table that match a condition, all if it is nil.
type someFiles struct {
	table blobTable
	which sq.Sqlizer
}

var allFiles = []someFiles{{shardFiles, nil}, {indexFiles, nil}}

// withDigests are the files of a table with some digests.
func withDigests(table blobTable, digests ...[]byte) someFiles {
	return someFiles{table, sq.Eq{table.name + ".digest": digests}}
}

// likeThose are the files of a table that have the digests of some of its rows.
func likeThose(table blobTable, rows sq.Sqlizer) someFiles {
	return someFiles{table, core.Within(table.name+".digest", sq.Select("digest").From(table.name).Where(rows))}
}

// LackChange is a change of what replicas lack. Every transaction that adds or takes away files or copies, or completes
// or removes an upload, makes it by LackChange, so that the counts of replicas are what their rows would give. Only the
// repairs of package audit don't: one that was interrupted leaves wrong counts until the next check --repair, or until
// the replica is set again.
type LackChange struct {
	// replicas matches the replicas whose counts may change; nil means all.
	replicas func(replicaTable) sq.Sqlizer
	// files are those that may be lacked before the change or after it, or more.
	files []someFiles
	// completed is an upload that the transaction has completed already, or 0.
	completed int64
}

// ofUpload matches the replicas that are to have the files of an upload.
func ofUpload(upload int64) func(replicaTable) sq.Sqlizer {
	return func(t replicaTable) sq.Sqlizer {
		own := sq.Select("store").From("uploads").Where(sq.Eq{"id": upload})
		if t.name == spaceReplicas.name {
			own = sq.Select("sources.space").From("sources").Join("uploads ON uploads.source = sources.id").
				Where(sq.Eq{"uploads.id": upload})
			return core.Within(t.field("space"), own)
		}
		return core.Within(t.field("origin"), own)
	}
}

// inReplica matches the rows of one replica.
func inReplica(store string) func(replicaTable) sq.Sqlizer {
	return func(t replicaTable) sq.Sqlizer { return sq.Eq{t.field("store"): store} }
}

// FilesOf is a change of an upload's state, before the transaction makes it.
func FilesOf(upload int64) LackChange {
	own := sq.Eq{"upload": upload}
	return LackChange{replicas: ofUpload(upload),
		files: []someFiles{likeThose(shardFiles, own), likeThose(indexFiles, own)}}
}

// FilesOfShards is a change of shards.
func FilesOfShards(shards sq.Sqlizer) LackChange {
	return LackChange{files: []someFiles{likeThose(shardFiles, shards)}}
}

// sealing is the sealing of a shard.
func sealing(shard Shard) LackChange {
	return LackChange{replicas: ofUpload(shard.Upload), files: []someFiles{withDigests(shardFiles, shard.Digest)}}
}

// storing is the addition of indexes of an upload.
func storing(upload int64, indexes []NewIndex) LackChange {
	digests := make([][]byte, len(indexes))
	for i, index := range indexes {
		digests[i] = index.Digest
	}
	return LackChange{replicas: ofUpload(upload), files: []someFiles{withDigests(indexFiles, digests...)}}
}

// completing is the completion of an upload, after the transaction has made it.
func completing(upload int64) LackChange {
	change := FilesOf(upload)
	change.completed = upload
	return change
}

// copying is a change of the copies in a store.
func copying(store string, digests [][]byte) LackChange {
	return LackChange{replicas: inReplica(store),
		files: []someFiles{withDigests(shardFiles, digests...), withDigests(indexFiles, digests...)}}
}

// Around runs change and keeps the counts of replicas right. It subtracts what the files count for before the change,
// and adds what they count for after it. Until the transaction ends, no other one changes these counts: what two would
// lack at once may be the same file.
func (c LackChange) Around(ctx context.Context, tx *core.Tx, change func() error) error {
	if err := c.lock(ctx, tx); err != nil {
		return err
	}
	if err := c.add(ctx, tx, "-", c.completed); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	return c.add(ctx, tx, "+", 0)
}

// of returns the condition that the replicas of a table match.
func (c LackChange) of(t replicaTable) sq.Sqlizer {
	if c.replicas == nil {
		return sq.And{}
	}
	return c.replicas(t)
}

// lock locks the counts, in the order of their keys. The statements that follow see what others have committed before.
func (c LackChange) lock(ctx context.Context, tx *core.Tx) error {
	for _, t := range replicaTables {
		rows := sq.Select("store").From(t.name).Where(c.of(t)).OrderBy(t.key...)
		if err := lockLater(ctx, tx, rows); err != nil {
			return err
		}
	}
	return nil
}

func (c LackChange) add(ctx context.Context, tx *core.Tx, sign string, doubt int64) error {
	for _, t := range replicaTables {
		if err := tx.Later(ctx, t.added(sign, t.counts(c.of(t), c.files, doubt)), nil); err != nil {
			return err
		}
	}
	return nil
}

// recount sets the counts of replicas from the rows of all files.
func (c LackChange) recount(ctx context.Context, tx *core.Tx) error {
	if err := c.lock(ctx, tx); err != nil {
		return err
	}
	for _, t := range replicaTables {
		none := sq.Update(t.name).Where(c.of(t))
		for _, column := range schema.LackColumns {
			none = none.Set(column, 0)
		}
		if err := tx.Later(ctx, none, nil); err != nil {
			return err
		}
	}
	c.files = allFiles
	return c.add(ctx, tx, "+", 0)
}

// RecountReplicas sets the counts of all replicas from the rows of all files.
func RecountReplicas(ctx context.Context, tx *core.Tx) error {
	if err := lockSpaces(ctx, tx); err != nil {
		return err
	}
	return LackChange{}.recount(ctx, tx)
}

// MiscountedReplicas narrows queries, one for each table of replicas, to the replicas whose counts are not what the
// rows give. query gets the columns of the counted files and of those that there are.
func MiscountedReplicas(query func(counted, lacked string) sq.SelectBuilder) (ofStores, ofSpaces sq.SelectBuilder) {
	miscounted := func(t replicaTable) sq.SelectBuilder {
		differ := sq.Or{}
		for _, column := range schema.LackColumns {
			differ = append(differ, sq.Expr(t.field(column)+" <> COALESCE(counts."+column+", 0)"))
		}
		counts := sq.ConcatExpr("LEFT JOIN (", t.counts(nil, allFiles, 0), ") AS counts ON "+t.same("counts"))
		return query(t.field("missing_files"), "counts.missing_files").From(t.name).JoinClause(counts).Where(differ)
	}
	return miscounted(storeReplicas), miscounted(spaceReplicas)
}
