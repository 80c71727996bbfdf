package sqlrepo

import (
	"context"
	"maps"
	"slices"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// count is a column of a tally and the query that counts it.
type count struct {
	column string
	query  sq.Sqlizer
}

// entryCounts are those of the tally that count entries, of a span of them.
func entryCounts(upload int64, span pathSpan) []count {
	entries := sq.Select("COUNT(*)").From("entries").Where(sq.Eq{"upload": upload}).Where(span.of("path"))

	// An entry can share content only with an earlier upload. Without one there is nothing to count.
	earlier := sq.Select("1").From("uploads AS earlier").
		Join("uploads AS own ON own.source = earlier.source AND own.id > earlier.id").Where(sq.Eq{"own.id": upload})
	sharing := entries.Where(sq.NotEq{"origin": nil})

	return []count{
		{"found_entries", entries},
		{"shared_entries", sq.ConcatExpr("SELECT CASE WHEN EXISTS (", earlier, ") THEN (", sharing, ") ELSE 0 END")},
	}
}

// shardCounts are those of the tally that count shards and their segments.
func shardCounts(upload int64) []count {
	shards := func(what string) sq.SelectBuilder {
		return sq.Select(what).From("shards").Where(sq.Eq{"upload": upload})
	}

	data := func(states ...ShardState) sq.SelectBuilder {
		return shards("COUNT(*)").Where(sq.Eq{"kind": DataShard, "state": states})
	}
	segments := func(what string, states ...ShardState) sq.SelectBuilder {
		return sq.Select(what).From("segments").
			Where(core.Within("shard", shards("id").Where(sq.Eq{"state": states})))
	}

	begins, bytes := sq.Eq{"file_offset": 0}, "CAST(COALESCE(SUM(length), 0) AS BIGINT)"

	// Nothing waits for shards that are set aside.
	open := shards("MIN(ordinal)").Where(sq.Eq{"state": ShardPlanned, "set_aside_at": nil})

	return []count{
		{"planned_shards", data(ShardPlanned, ShardPacked, ShardEmpty)},
		{"settled_shards", data(ShardPacked, ShardEmpty)},
		{"planned_files", segments("COUNT(*)", ShardPlanned, ShardPacked, ShardEmpty).Where(begins)},
		{"packed_files", segments("COUNT(*)", ShardPacked, ShardEmpty).Where(begins)},
		{"planned_bytes", segments(bytes, ShardPlanned, ShardPacked, ShardEmpty)},
		{"packed_bytes", segments(bytes, ShardPacked, ShardEmpty)},
		{"stage_bytes", segments(bytes, ShardPacked, ShardEmpty)},
		{"sealed", sq.ConcatExpr("SELECT COALESCE((", open, "), (", shards("MAX(ordinal) + 1"), "), 0)")},
	}
}

// Recounted makes an update set the tally to the counts of the upload's rows, except for what only commits count. It
// reads all of them while the row of the upload is locked.
func Recounted(update sq.UpdateBuilder, upload int64) sq.UpdateBuilder {
	for _, c := range slices.Concat(entryCounts(upload, pathSpan{}), shardCounts(upload)) {
		update = update.Set(c.column, sq.ConcatExpr("(", c.query, ")"))
	}
	return update
}

// counted makes an update set the tally to the present counts of the upload's rows. The caller makes sure that they
// are the same when the update runs, and while they are counted, some entries at a time.
func (r *Repository) counted(ctx context.Context, update sq.UpdateBuilder, upload int64) (sq.UpdateBuilder, error) {
	values := map[string]int64{}
	if err := r.count(ctx, shardCounts(upload), values); err != nil {
		return update, err
	}
	for span, err := range r.pathSpans(ctx, upload) {
		if err == nil {
			err = r.count(ctx, entryCounts(upload, span), values)
		}
		if err != nil {
			return update, err
		}
	}

	for _, column := range slices.Sorted(maps.Keys(values)) {
		update = update.Set(column, values[column])
	}
	return update, ctx.Err()
}

// count adds the numbers that queries count.
func (r *Repository) count(ctx context.Context, columns []count, sums map[string]int64) error {
	query, values, places := sq.Select(), make([]int64, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		query, places[i] = query.Column(sq.Alias(c.query, c.column)), &values[i]
	}

	err := r.db.Retry(ctx, "count what the scan has left", func() error {
		return r.db.Reader.Stream(ctx, query, func(rows *sqlx.Rows) error { return rows.Scan(places...) })
	})
	for i, c := range columns {
		sums[c.column] += values[i]
	}
	return err
}
