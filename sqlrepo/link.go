package sqlrepo

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

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
	ID     int64     `db:"id"`
	Path   Path      `db:"path"`
	Kind   EntryKind `db:"kind"`
	Size   int64     `db:"size"`
	Target []byte    `db:"target"`
	// Origin is the entry of an earlier upload whose content a file shares, 0 when it has its own.
	Origin int64 `db:"origin"`
	// Segments are those of a file with content of its own, in the file's order.
	Segments []Segment `db:"-"`
	// Known is the root of the Origin.
	Known *Root `db:"-"`
}

var linkable = []EntryState{Ready, Rescanned}

// Linkables yields, in canonical order, the entries of an upload that belong under its root. Joins are made here, page by
// page: an engine could take the page for a reason to read all of the other table.
func (r *Repository) Linkables(ctx context.Context, upload int64) iter.Seq2[Linkable, error] {
	query := squirrel.Select("id", "path", "kind", "size", "target", "COALESCE(origin, 0) AS origin").From("entries").
		Where(squirrel.Eq{"upload": upload, "state": linkable}).OrderBy("path")
	behind := func(last Linkable) squirrel.Sqlizer { return squirrel.Gt{"path": last.Path} }
	return pages(query, behind, func(page *[]Linkable, query squirrel.SelectBuilder) error {
		if err := r.readList(ctx, "read entries", page, query); err != nil {
			return err
		}
		return errors.Join(r.addSegments(ctx, *page), r.addKnown(ctx, *page))
	})
}

// addSegments gives the files of a page their segments.
func (r *Repository) addSegments(ctx context.Context, page []Linkable) error {
	files := map[int64]*Linkable{}
	for i := range page {
		if page[i].Kind == File && page[i].Origin == 0 {
			files[page[i].ID] = &page[i]
		}
	}
	var segments []Segment
	err := r.readOf(ctx, "segments", files, &segments,
		squirrel.Select(segmentColumns...).From("segments").OrderBy("entry", "file_offset"))
	for _, segment := range segments {
		file := files[segment.Entry]
		file.Segments = append(file.Segments, segment)
	}
	return err
}

// addKnown gives the files of a page that share the content of earlier ones the roots of those.
func (r *Repository) addKnown(ctx context.Context, page []Linkable) error {
	origins := map[int64]*Linkable{}
	for i := range page {
		if page[i].Origin != 0 {
			origins[page[i].Origin] = &page[i]
		}
	}
	var known []Root
	err := r.readOf(ctx, "roots", origins, &known, squirrel.Select(rootColumns...).From("roots"))
	for i, root := range known {
		origins[root.Entry].Known = &known[i]
	}
	return err
}

// readOf reads the rows of certain entries.
func (r *Repository) readOf(ctx context.Context, what string, entries map[int64]*Linkable, dest any,
	query squirrel.SelectBuilder) error {
	if len(entries) == 0 {
		return nil
	}
	ids := slices.Collect(maps.Keys(entries))
	return r.readList(ctx, "read "+what, dest, query.Where(r.db.Among("entry", ids)))
}

// ResetLinks forgets the roots that an earlier attempt has found. Its shards of kind DAGShard stay: others may have left out
// blocks because they are there.
func (r *Repository) ResetLinks(ctx context.Context, stage Stage) error {
	ids := squirrel.Select("id").From("entries").Where(squirrel.Eq{"upload": stage.Upload.ID})
	none := squirrel.Update("uploads").Set("linked_entries", 0)
	return r.fenced(ctx, "forget unfinished links", stage, none, func(tx *dialect.Tx) error {
		_, err := r.exec(ctx, tx, squirrel.Delete("roots").Where(within("entry", ids)))
		return err
	})
}

// LinkBatch is what linking some entries gave.
type LinkBatch struct {
	Roots []Root
	// Shard is of kind DAGShard, nil when none was finished.
	Shard *PackedShard
}

var rootColumns = []string{"entry", "dag_size", "cid"}

// SaveLinks records a batch in one transaction. If it has a shard, that is sealed as by SealShard.
func (r *Repository) SaveLinks(ctx context.Context, stage Stage, batch LinkBatch, seal Seal) error {
	count := counting("linked_entries", int64(len(batch.Roots)))
	return r.fencedSeal(ctx, stage, batch, seal, count, func(tx *dialect.Tx) error {
		row := make([]any, len(rootColumns))
		return r.db.BulkInsert(ctx, tx, "roots", rootColumns, len(batch.Roots), func(i int) []any {
			root := &batch.Roots[i]
			row[0], row[1], row[2] = root.Entry, root.DAGSize, root.CID.Bytes()
			return row
		})
	})
}

func (r *Repository) fencedSeal(ctx context.Context, stage Stage, batch LinkBatch, seal Seal, count squirrel.UpdateBuilder,
	fn func(*dialect.Tx) error) error {
	if batch.Shard == nil {
		return r.fenced(ctx, "record links", stage, count, fn)
	}
	shard := &batch.Shard.Shard
	may := func(tx *dialect.Tx) error {
		rows, err := r.exec(ctx, tx, count.Where(held(stage)))
		if err != nil {
			return err
		}
		return leaseLost(rows, "uploads", stage.Upload.ID)
	}
	return r.seal(ctx, "record links", seal, shard, may, func(tx *dialect.Tx) error {
		shard.Kind, shard.Nodes = DAGShard, int64(len(batch.Shard.Nodes))
		if err := r.insertShards(ctx, tx, stage, []*Shard{shard}); err != nil {
			return err
		}
		if err := r.insertNodes(ctx, tx, shard.ID, batch.Shard.Nodes); err != nil {
			return err
		}
		return fn(tx)
	})
}
