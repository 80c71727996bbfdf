package sqlrepo

import (
	"context"
	"iter"

	"github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// Root is where the DAG of an entry begins.
type Root struct {
	Entry int64 `db:"entry"`
	CID   CID   `db:"cid"`
	// DAGSize is the length of the root's block and of all blocks below it.
	DAGSize int64 `db:"dag_size"`
}

// Linkable is an entry that belongs under its upload's root, with its content.
type Linkable struct {
	Entry
	// Segments are those of a file, in the file's order, unless its content was prepared in an earlier upload.
	Segments []Segment
	// Known is the root of a file whose content was prepared in an earlier upload.
	Known *Root
}

var linkable = []EntryState{Ready, Rescanned}

type knownRow struct {
	Entry
	CID     CID    `db:"cid"`
	DAGSize *int64 `db:"dag_size"`
}

// Linkables yields, in canonical order, the entries of an upload that belong under its root.
func (r *Repository) Linkables(ctx context.Context, upload int64) iter.Seq2[Linkable, error] {
	fields := append([]string{"roots.cid", "roots.dag_size"}, entryFields...)
	query := squirrel.Select(fields...).From("entries").LeftJoin("roots ON roots.entry = entries.origin").
		Where(squirrel.Eq{"upload": upload, "state": linkable}).OrderBy("path")
	behind := func(last Linkable) squirrel.Sqlizer { return squirrel.Gt{"path": last.Path} }
	return pages(query, behind, func(page *[]Linkable, query squirrel.SelectBuilder) error {
		var rows []knownRow
		if err := r.readList(ctx, "read entries", &rows, query); err != nil || len(rows) == 0 {
			return err
		}
		segments, err := r.segmentsBetween(ctx, upload, rows[0].Path, rows[len(rows)-1].Path)
		*page = joinSegments(rows, segments)
		return err
	})
}

func (r *Repository) segmentsBetween(ctx context.Context, upload int64, first, last Path) (segments []Segment, err error) {
	err = r.readList(ctx, "read segments", &segments, squirrel.Select(segmentColumns...).From("entries").
		Join("segments ON segments.entry = entries.id").
		Where(squirrel.Eq{"upload": upload, "state": linkable}).Where(squirrel.GtOrEq{"path": first}).Where(squirrel.LtOrEq{"path": last}).
		OrderBy("path", "file_offset"))
	return segments, err
}

// joinSegments gives each entry its segments; both lists are in canonical order.
func joinSegments(rows []knownRow, segments []Segment) []Linkable {
	entries := make([]Linkable, len(rows))
	for i, row := range rows {
		entries[i].Entry = row.Entry
		if row.DAGSize != nil {
			entries[i].Known = &Root{row.Origin, row.CID, *row.DAGSize}
		}
		n := 0
		for n < len(segments) && segments[n].Entry == row.ID {
			n++
		}
		entries[i].Segments, segments = segments[:n:n], segments[n:]
	}
	return entries
}

// ResetLinks forgets what an earlier run has linked of the upload: roots and shards of kind DAGShard.
func (r *Repository) ResetLinks(ctx context.Context, run Run) error {
	ids := squirrel.Select("id").From("entries").Where(squirrel.Eq{"upload": run.Upload.ID})
	dag := squirrel.Eq{"upload": run.Upload.ID, "kind": DAGShard}
	return r.fenced(ctx, "forget unfinished links", run, func(tx *dialect.Tx) error {
		for _, forget := range []squirrel.Sqlizer{
			squirrel.Delete("roots").Where(within("entry", ids)),
			squirrel.Delete("nodes").Where(within("shard", squirrel.Select("id").From("shards").Where(dag))),
			squirrel.Delete("shards").Where(dag),
		} {
			if _, err := r.exec(ctx, tx, forget); err != nil {
				return err
			}
		}
		return nil
	})
}

// NextOrdinal is the ordinal of the upload's next shard.
func (r *Repository) NextOrdinal(ctx context.Context, upload int64) (int64, error) {
	tail, err := r.PlanTail(ctx, upload)
	return tail.NextOrdinal, err
}

// LinkBatch is what linking some entries gave.
type LinkBatch struct {
	Roots []Root
	// Shards are shards of kind DAGShard, whose bytes are in the store.
	Shards []PackedShard
}

var rootColumns = []string{"entry", "dag_size", "cid"}

// SaveLinks records a batch in one transaction.
func (r *Repository) SaveLinks(ctx context.Context, run Run, batch LinkBatch) error {
	return r.fenced(ctx, "record links", run, func(tx *dialect.Tx) error {
		shards := make([]*Shard, len(batch.Shards))
		for i := range batch.Shards {
			shards[i] = &batch.Shards[i].Shard
			shards[i].Kind, shards[i].State, shards[i].Nodes = DAGShard, ShardPacked, int64(len(batch.Shards[i].Nodes))
		}
		if err := r.insertShards(ctx, tx, run, shards); err != nil {
			return err
		}
		for _, packed := range batch.Shards {
			if err := r.insertNodes(ctx, tx, packed.Shard.ID, packed.Nodes); err != nil {
				return err
			}
		}
		row := make([]any, len(rootColumns))
		return r.db.BulkInsert(ctx, tx, "roots", rootColumns, len(batch.Roots), func(i int) []any {
			root := &batch.Roots[i]
			row[0], row[1], row[2] = root.Entry, root.DAGSize, root.CID.Bytes()
			return row
		})
	})
}
