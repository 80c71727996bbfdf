package sqlrepo

import (
	"context"
	"iter"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Unread yields, in canonical order, the files of an upload that have their own content and are yet to be packed,
// as a whole or in part.
func (r *Repository) Unread(ctx context.Context, upload int64) iter.Seq2[Entry, error] {
	planned := sq.Select("1").From("segments").Where("segments.entry = entries.id")
	waiting := sq.Select("1").From("segments").Join("shards ON shards.id = segments.shard").
		Where("segments.entry = entries.id").Where(sq.Eq{"shards.state": ShardPlanned})
	query := sq.Select(schema.EntryFields...).From("entries").OrderBy("path").
		Where(sq.Eq{"upload": upload, "kind": File, "state": LinkableStates, "origin": nil}).
		Where(sq.Or{
			sq.ConcatExpr("NOT EXISTS (", planned, ")"), sq.ConcatExpr("EXISTS (", waiting, ")"),
		})

	behind := func(last Entry) sq.Sqlizer { return sq.Gt{"path": last.Path} }
	return core.Rows(ctx, r.db, "read entries that are not packed", query, behind)
}
