package sqlrepo

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Root is the root of an entry's DAG.
type Root struct {
	Entry int64 `db:"entry"`
	CID   CID   `db:"cid"`
	// DAGSize is the total length of the root's block and all blocks below it.
	DAGSize int64 `db:"dag_size"`
}

// Linkable is an entry that belongs under its upload's root, with its content.
type Linkable struct {
	ID     int64     `db:"id"`
	Path   Path      `db:"path"`
	Kind   EntryKind `db:"kind"`
	Size   int64     `db:"size"`
	Target []byte    `db:"target"`
	// Origin is the entry of an earlier upload whose content a file shares, 0 if it has its own.
	Origin int64 `db:"origin"`
	// Segments are the segments of a file, in order. For a file with an Origin, only Contents sets them.
	Segments []Segment `db:"-"`
	// Known is the root of the Origin.
	Known *Root `db:"-"`
}

// LinkableStates are the states of entries that belong under the root of their upload.
var LinkableStates = []EntryState{Ready, Rescanned}

var linkableFields = schema.Readable("id", "path", "kind", "size", "target", "origin")

// Linkables yields, in canonical order, the entries of an upload that belong under its root. It joins tables in the
// program, page by page: an engine could take each page for a reason to read all of the other table.
func (r *Repository) Linkables(ctx context.Context, upload int64) iter.Seq2[Linkable, error] {
	query := sq.Select(linkableFields...).From("entries").
		Where(sq.Eq{"upload": upload, "state": LinkableStates}).OrderBy("path")
	behind := func(last Linkable) sq.Sqlizer { return sq.Gt{"path": last.Path} }
	return core.Pages(query, behind, func(page *[]Linkable, query sq.SelectBuilder) error {
		if err := r.db.ReadAll(ctx, "read entries", page, query); err != nil {
			return err
		}
		if err := r.addSegments(ctx, ownContent(*page)); err != nil {
			return err
		}

		return r.addKnown(ctx, *page, shared)
	})
}

// Contents yields, in canonical order, the entries of an upload that have one of some states, each with its
// content, even if that was prepared for an earlier upload: a file that shares the content of an earlier one has
// the segments of the earlier one. Known is the root that is recorded for the entry or its Origin.
func (r *Repository) Contents(ctx context.Context, upload int64, states ...EntryState) iter.Seq2[Linkable, error] {
	query := sq.Select(linkableFields...).From("entries").
		Where(sq.Eq{"upload": upload, "state": states}).OrderBy("path")
	behind := func(last Linkable) sq.Sqlizer { return sq.Gt{"path": last.Path} }
	return core.Pages(query, behind, func(page *[]Linkable, query sq.SelectBuilder) error {
		if err := r.db.ReadAll(ctx, "read entries", page, query); err != nil {
			return err
		}
		if err := r.addSegments(ctx, anyContent(*page)); err != nil {
			return err
		}
		return r.addKnown(ctx, *page, owner)
	})
}

// OwnFile returns a file that has its own content, with its segments and its root, if it has one, and the key of
// its upload. It returns ErrNotFound if there is no such file.
func (r *Repository) OwnFile(ctx context.Context, entry int64) (upload int64, file Linkable, err error) {
	var row struct {
		Linkable
		Upload int64 `db:"upload"`
	}

	columns := append([]string{"upload"}, linkableFields...)
	err = r.db.ReadOne(ctx, "look up a file", &row,
		sq.Select(columns...).From("entries").
			Where(sq.Eq{"id": entry, "kind": File, "origin": nil, "state": LinkableStates}))
	if err != nil {
		return 0, file, err
	}

	page := []Linkable{row.Linkable}
	if err := r.addSegments(ctx, ownContent(page)); err != nil {
		return 0, file, err
	}
	err = r.addKnown(ctx, page, owner)
	return row.Upload, page[0], err
}

// ownContent returns the files of a page that share nothing, by key.
func ownContent(page []Linkable) map[int64]*Linkable {
	files := map[int64]*Linkable{}
	for i := range page {
		if page[i].Kind == File && page[i].Origin == 0 {
			files[page[i].ID] = &page[i]
		}
	}
	return files
}

// anyContent returns the files of a page by the keys of the entries that have their content.
func anyContent(page []Linkable) map[int64]*Linkable {
	files := map[int64]*Linkable{}
	for i := range page {
		if page[i].Kind == File {
			files[owner(page[i])] = &page[i]
		}
	}
	return files
}

// addSegments gives files their segments. The keys of the map are the entries that have the segments.
func (r *Repository) addSegments(ctx context.Context, files map[int64]*Linkable) error {
	var segments []Segment
	err := r.readOf(ctx, "segments", files, &segments,
		sq.Select(schema.SegmentColumns...).From("segments").OrderBy("entry", "file_offset"))
	for _, segment := range segments {
		file := files[segment.Entry]
		file.Segments = append(file.Segments, segment)
	}
	return err
}

// shared returns the entry whose content this one shares, 0 if it has its own; owner returns the one that has it.
func shared(entry Linkable) int64 { return entry.Origin }
func owner(entry Linkable) int64  { return cmp.Or(entry.Origin, entry.ID) }

// addKnown sets Known for the entries of a page: of returns the key of the entry that has the root, or 0.
func (r *Repository) addKnown(ctx context.Context, page []Linkable, of func(Linkable) int64) error {
	entries := map[int64]*Linkable{}
	for i := range page {
		if key := of(page[i]); key != 0 {
			entries[key] = &page[i]
		}
	}
	var known []Root
	err := r.readOf(ctx, "roots", entries, &known, sq.Select(schema.RootColumns...).From("roots"))
	for i, root := range known {
		entries[root.Entry].Known = &known[i]
	}
	return err
}

// readOf reads the rows that belong to the given entries.
func (r *Repository) readOf(ctx context.Context, what string, entries map[int64]*Linkable, dest any,
	query sq.SelectBuilder) error {
	if len(entries) == 0 {
		return nil
	}
	ids := slices.Collect(maps.Keys(entries))
	return r.db.ReadAll(ctx, "read "+what, dest, query.Where(r.db.Among("entry", ids)))
}

// LinkBatch is the result of linking some entries. Sealing it records the roots and the shard.
type LinkBatch struct {
	Stage Stage
	Roots []Root
	// Shard is of kind DAGShard, nil if none was finished.
	Shard *PackedShard
}

func (b *LinkBatch) String() string { return "record links" }

// SaveLinks records a batch without a shard. It returns ErrLeaseLost if another worker has the stage.
func (r *Repository) SaveLinks(ctx context.Context, batch LinkBatch) error {
	return r.db.Transact(ctx, batch.String(), func(tx *core.Tx) error {
		if err := batch.hold(ctx, tx); err != nil {
			return err
		}
		return batch.record(ctx, tx)
	})
}

// hold implements Sealable.
func (b *LinkBatch) hold(ctx context.Context, tx *core.Tx) error {
	if err := Fence(ctx, tx, b.Stage, counting("linked_entries", int64(len(b.Roots)))); err != nil || b.Shard == nil {
		return err
	}
	return nameShards(ctx, tx, b.Stage, []*Shard{&b.Shard.Shard})
}

// record implements Sealable.
func (b *LinkBatch) record(ctx context.Context, tx *core.Tx) error {
	if b.Shard == nil {
		return InsertRoots(ctx, tx, b.Roots)
	}

	shard := &b.Shard.Shard
	shard.Kind, shard.Nodes = DAGShard, int64(len(b.Shard.Nodes))
	if err := InsertNodes(ctx, tx, shard.ID, b.Shard.Nodes); err != nil {
		return err
	}
	if err := InsertRoots(ctx, tx, b.Roots); err != nil {
		return err
	}
	return sealing(*shard).Around(ctx, tx, func() error { return insertShards(ctx, tx, []*Shard{shard}) })
}

// InsertRoots adds roots. It is for the packages below this one too.
func InsertRoots(ctx context.Context, tx *core.Tx, roots []Root) error {
	row := make([]any, len(schema.RootColumns))
	return tx.BulkInsert(ctx, "roots", schema.RootColumns, len(roots), func(i int) []any {
		root := &roots[i]
		row[0], row[1], row[2] = root.Entry, root.DAGSize, root.CID.Bytes()
		return row
	})
}
