package sqlrepo

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// PackSegment is a segment with what is needed to read it and to find out whether its file has changed.
type PackSegment struct {
	Segment
	Path Path `db:"path"`
	// Fingerprint describes the whole file.
	Fingerprint
	State EntryState `db:"state"`
}

// ClaimShard claims the first shard of an upload that waits to be packed and has an ordinal below a limit. It
// returns ErrNothingToClaim if there is none.
func (r *Repository) ClaimShard(ctx context.Context, claim Claim, upload, below int64) (shard Shard, err error) {
	first := sq.Select("id").From("shards").
		Where(r.waiting(upload)).Where(sq.Lt{"ordinal": min(below, math.MaxInt32)}).
		Where(sq.ConcatExpr("ordinal >= (", sq.Select("sealed").From("uploads").
			Where(sq.Eq{"id": upload, "state": Packing}), ")")).
		Where(sq.NotEq{"id": claim.Except}).OrderBy("ordinal").Limit(1).Suffix(r.db.ClaimLock)
	which := sq.ConcatExpr("id = (", first, ")")
	err = r.claim(ctx, "claim a shard", "shards", schema.ShardFields, claim, which, &shard)
	return shard, err
}

// waiting matches the shards of an upload that can be claimed.
func (r *Repository) waiting(upload any) sq.Sqlizer {
	return sq.And{sq.Eq{"upload": upload, "state": ShardPlanned}, r.claimable()}
}

// ShardSegments yields the segments that a shard is to hold, in order.
func (r *Repository) ShardSegments(ctx context.Context, shard int64) iter.Seq2[PackSegment, error] {
	fields := slices.Concat([]string{"path", "state"}, schema.PrintFields, schema.SegmentColumns)
	query := sq.Select(fields...).From("segments").Join("entries ON entries.id = segments.entry").
		Where(sq.Eq{"shard": shard}).OrderBy("chunk")
	behind := func(last PackSegment) sq.Sqlizer { return sq.Gt{"chunk": last.Chunk} }
	return core.Rows(ctx, r.db, fmt.Sprintf("segments of shard %d", shard), query, behind)
}
