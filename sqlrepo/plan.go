package sqlrepo

import (
	"context"
	"errors"
	"iter"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Segment is a byte range of a file that a shard holds.
type Segment struct {
	Entry int64 `db:"entry"`
	// Offset is where the range begins in the file, a whole number of chunks.
	Offset int64 `db:"file_offset"`
	Shard  int64 `db:"shard"`
	// Chunk is the place of the range's first chunk among the chunks that the shard was planned to hold.
	Chunk int64 `db:"chunk"`
	// Length is the length of the range, 0 for an empty file, which has one empty chunk.
	Length int64 `db:"length"`
}

// PlanFile is a file with what planning needs to know about it.
type PlanFile struct {
	ID   int64 `db:"id"`
	Path Path  `db:"path"`
	Size int64 `db:"size"`
}

var planFileColumns = []string{"id", "path", "size"}

// PlannedShard is a shard yet to be packed, and the segments that it is to hold, in order.
type PlannedShard struct {
	Shard    Shard
	Segments []Segment
}

// PlanTail is where planning goes on.
type PlanTail struct {
	// NextOrdinal is the ordinal of the next shard.
	NextOrdinal int64
	// Partial is the file that is planned only up to a point, nil if there is none. Planned is how many of its bytes
	// are planned.
	Partial *PlanFile
	Planned int64
}

// PlanTail returns where the planning of an upload goes on.
func (r *Repository) PlanTail(ctx context.Context, upload int64) (tail PlanTail, err error) {
	err = r.db.Retry(ctx, "look where planning goes on", func() error {
		tail = PlanTail{}
		err := r.db.Reader.Get(ctx, &tail.NextOrdinal, nextOrdinal(upload))
		if err != nil || tail.NextOrdinal == 0 {
			return err
		}
		return r.partial(ctx, upload, &tail)
	})
	return tail, err
}

// NextOrdinal returns the ordinal of the upload's next shard.
func (r *Repository) NextOrdinal(ctx context.Context, upload int64) (next int64, err error) {
	err = r.db.ReadOne(ctx, "look for the next ordinal", &next, nextOrdinal(upload))
	return next, err
}

func nextOrdinal(upload int64) sq.Sqlizer {
	return sq.Select("COALESCE(MAX(ordinal) + 1, 0)").From("shards").Where(sq.Eq{"upload": upload})
}

// partial looks at the segment that was planned last: only its file can be planned in part.
func (r *Repository) partial(ctx context.Context, upload int64, tail *PlanTail) error {
	last, err := r.lastSegment(ctx, upload)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}

	var file PlanFile
	err = r.db.Reader.Get(ctx, &file,
		sq.Select(planFileColumns...).From("entries").Where(sq.Eq{"id": last.Entry}))
	if err == nil && last.Offset+last.Length < file.Size {
		tail.Partial, tail.Planned = &file, last.Offset+last.Length
	}
	return err
}

func (r *Repository) lastSegment(ctx context.Context, upload int64) (last Segment, err error) {
	shards := sq.Select("id").From("shards").
		Where(sq.Eq{"upload": upload, "kind": DataShard}).OrderBy("ordinal DESC").Limit(1)
	err = r.db.Reader.Get(ctx, &last, sq.Select(schema.SegmentColumns...).From("segments").
		Where(core.Within("shard", shards)).OrderBy("chunk DESC").Limit(1))
	return last, err
}

// Unplanned yields, in canonical order, the files of an upload without planned content, given where planning goes
// on. It looks for planned content only if there can be any.
func (r *Repository) Unplanned(ctx context.Context, upload int64, tail PlanTail) iter.Seq2[PlanFile, error] {
	query := sq.Select(planFileColumns...).From("entries").OrderBy("path").
		Where(sq.Eq{"upload": upload, "kind": File, "state": []EntryState{Ready, Rescanned}, "origin": nil})
	if tail.NextOrdinal > 0 {
		query = query.Where(sq.ConcatExpr("COALESCE((", planned, "), 0) <> entries.id"))
	}

	behind := func(last PlanFile) sq.Sqlizer { return sq.Gt{"path": last.Path} }
	return core.Rows(ctx, r.db, "read files to plan", query, behind)
}

// planned is the key of an entry that has segments. It is compared with the key itself, which looks odd for a reason:
// with NOT EXISTS, or IS NULL, PostgreSQL expects to find few files, and reads all files and all segments for each page
// of them. This way it expects to find many, reads files in their order, and looks each up in the index of segments.
var planned = sq.Select("MIN(segments.entry)").From("segments").Where("segments.entry = entries.id")

// SavePlan adds planned shards, in the order of their ordinals, in one transaction. Segments get the keys of their
// shards.
func (r *Repository) SavePlan(ctx context.Context, stage Stage, plan []PlannedShard) error {
	return r.fenced(ctx, "record the plan", stage, countPlan(plan), func(tx *core.Tx) error {
		shards := make([]*Shard, len(plan))
		for i := range plan {
			plan[i].Shard.Kind, plan[i].Shard.State = DataShard, ShardPlanned
			shards[i] = &plan[i].Shard
		}

		// Segments need the keys of their shards.
		if err := nameShards(ctx, tx, stage, shards); err != nil {
			return err
		}

		var segments []Segment
		for _, planned := range plan {
			for _, segment := range planned.Segments {
				segment.Shard = planned.Shard.ID
				segments = append(segments, segment)
			}
		}

		if err := InsertSegments(ctx, tx, segments); err != nil {
			return err
		}
		return insertShards(ctx, tx, shards)
	})
}

// InsertSegments adds segments. It is for the packages below this one too.
func InsertSegments(ctx context.Context, tx *core.Tx, segments []Segment) error {
	row := make([]any, len(schema.SegmentColumns))
	return tx.BulkInsert(ctx, "segments", schema.SegmentColumns, len(segments), func(i int) []any {
		s := &segments[i]
		row[0], row[1], row[2], row[3], row[4] = s.Entry, s.Offset, s.Shard, s.Chunk, s.Length
		return row
	})
}

// countPlan counts what is planned. If all other shards are settled, the plan's first shard is the next to be
// sealed.
func countPlan(plan []PlannedShard) sq.UpdateBuilder {
	var files, bytes int64
	for _, planned := range plan {
		for _, segment := range planned.Segments {
			files += core.Number(segment.Offset == 0)
			bytes += segment.Length
		}
	}

	count := sq.Update("uploads")
	if len(plan) > 0 {
		// This reads planned_shards before that is set, for engines that set one column after the other.
		count = count.Set("sealed", sq.Expr(
			"CASE WHEN settled_shards + aside_shards = planned_shards THEN ? ELSE sealed END", plan[0].Shard.Ordinal))
	}
	return count.Set("planned_shards", sq.Expr("planned_shards + ?", int64(len(plan)))).
		Set("planned_files", sq.Expr("planned_files + ?", files)).
		Set("planned_bytes", sq.Expr("planned_bytes + ?", bytes))
}

// LargestFile returns the length of the upload's longest file with its own content, whether or not it is planned.
func (r *Repository) LargestFile(ctx context.Context, upload int64) (size int64, err error) {
	err = r.db.ReadOne(ctx, "look for the largest file", &size,
		sq.Select("COALESCE(MAX(size), 0)").From("entries").
			Where(sq.Eq{"upload": upload, "kind": File, "state": LinkableStates, "origin": nil}))
	return size, err
}
