package audit

import (
	"context"
	"fmt"
	"slices"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// chunkSize is the length of every chunk of a file except the last.
const chunkSize = 1 << 20

// chunksOf returns the number of chunks in a length. An empty file has one chunk.
func chunksOf(length int64) int64 { return max(1, (length+chunkSize-1)/chunkSize) }

// checkCover checks that the segments of each file with its own content cover it once, and reach its end as soon as
// its upload is planned. It leaves out removed uploads: uploads that share their files check those, and the other
// files lose their segments.
func checkCover(ctx context.Context, tx *core.Snapshot, s scope, some span,
	found func(Flaw) error) error {
	query := sq.Select("entries.upload", "entries.id", "entries.size", "uploads.state",
		"COALESCE(file_offset, 0)", "COALESCE(length, 0)", "COALESCE(shard, 0)").
		From("entries").Join("uploads ON uploads.id = entries.upload").LeftJoin("segments ON segments.entry = entries.id").
		Where(sq.Eq{"entries.kind": sqlrepo.File, "entries.origin": nil, "entries.state": sqlrepo.LinkableStates}).
		OrderBy("entries.id", "file_offset", "length DESC")

	var open cover
	err := tx.Stream(ctx, some.of(s.of(query, "entries.upload"), "entries.id"), func(rows *sqlx.Rows) error {
		var next cover
		var segment sqlrepo.Segment
		err := rows.Scan(&next.upload, &next.entry, &next.size, &next.state,
			&segment.Offset, &segment.Length, &segment.Shard)
		if err != nil {
			return err
		}

		// A file is complete when the rows of the next one begin.
		if next.entry != open.entry {
			if err := open.close(found); err != nil {
				return err
			}
			open = next
		}

		if segment.Shard == 0 {
			return nil // the join found no segment
		}
		return open.add(segment, found)
	})

	if err != nil {
		return err
	}
	return open.close(found)
}

// cover is how far the segments of a file reach.
type cover struct {
	upload, entry, size int64
	state               sqlrepo.UploadState
	reached             int64
	begun, told         bool
}

func (c *cover) add(s sqlrepo.Segment, found func(Flaw) error) error {
	c.begun = true
	from := c.reached
	c.reached = max(c.reached, s.Offset+s.Length)
	last := s.Offset+s.Length == c.size

	switch {
	case s.Length < 0 || s.Offset < 0 || s.Offset%chunkSize != 0 || s.Length%chunkSize != 0 && !last || s.Length == 0 &&
		c.size > 0:
		return c.report(found, s.Shard, FlawSegmentShape, "its segment at %d is no whole number of chunks: %d bytes",
			s.Offset, s.Length)
	case s.Offset > from:
		return c.report(found, s.Shard, FlawSegmentGap, "nothing is planned of its bytes from %d to %d", from, s.Offset)
	case s.Offset < from:
		return c.report(found, s.Shard, FlawSegmentOverlap, "its bytes from %d to %d are planned twice", s.Offset, from)
	case c.reached > c.size:
		return c.report(found, s.Shard, FlawSegmentBeyond, "its segments end at %d, and it has %d bytes", c.reached, c.size)
	}
	return nil
}

// close checks the end of the file.
func (c *cover) close(found func(Flaw) error) error {
	planned := []sqlrepo.UploadState{sqlrepo.Packing, sqlrepo.Linking, sqlrepo.Indexing, sqlrepo.Complete}
	if c.entry == 0 || !slices.Contains(planned, c.state) || c.begun && c.reached >= c.size {
		return nil
	}
	return c.report(found, 0, FlawSegmentGap, "nothing is planned of its bytes from %d to %d", c.reached, c.size)
}

// tell reports the first flaw of a file. Others may follow from it.
func (c *cover) report(found func(Flaw) error, shard int64, code, detail string, args ...any) error {
	if c.told {
		return nil
	}
	c.told = true
	return found(Flaw{Code: code, Upload: c.upload, Shard: shard, Entry: c.entry, Detail: fmt.Sprintf(detail, args...)})
}

// checkChunks checks that segments follow each other in the plan of their shard, and lie inside it.
func checkChunks(ctx context.Context, tx *core.Snapshot, s scope, some span,
	found func(Flaw) error) error {
	query := sq.Select("shards.upload", "segments.shard", "segments.entry", "chunk", "length", "shards.chunks").
		From("segments").Join("shards ON shards.id = segments.shard").OrderBy("segments.shard", "chunk")

	var shard, reached int64
	return tx.Stream(ctx, some.of(s.kept(query, "shards.upload"), "segments.shard"), func(rows *sqlx.Rows) error {
		var upload, chunks int64
		var next sqlrepo.Segment
		if err := rows.Scan(&upload, &next.Shard, &next.Entry, &next.Chunk, &next.Length, &chunks); err != nil {
			return err
		}

		if next.Shard != shard {
			shard, reached = next.Shard, 0
		}

		from := reached
		reached = max(reached, next.Chunk+chunksOf(next.Length))
		if next.Chunk >= from && reached <= chunks {
			return nil
		}

		return found(Flaw{Code: FlawSegmentChunk, Upload: upload, Shard: shard, Entry: next.Entry, Detail: fmt.Sprintf(
			"its chunks from %d on are those of another file, or beyond the %d of the shard", next.Chunk, chunks)})
	})
}
