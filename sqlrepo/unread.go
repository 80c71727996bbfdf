package sqlrepo

import (
	"context"
	"iter"

	"github.com/Masterminds/squirrel"
)

// Unread yields, in canonical order, the files of an upload that have their own content and are yet to be packed,
// as a whole or in part.
func (r *Repository) Unread(ctx context.Context, upload int64) iter.Seq2[Entry, error] {
	planned := squirrel.Select("1").From("segments").Where("segments.entry = entries.id")
	waiting := squirrel.Select("1").From("segments").Join("shards ON shards.id = segments.shard").
		Where("segments.entry = entries.id").Where(squirrel.Eq{"shards.state": ShardPlanned})
	query := squirrel.Select(entryFields...).From("entries").OrderBy("path").
		Where(squirrel.Eq{"upload": upload, "kind": File, "state": linkable, "origin": nil}).
		Where(squirrel.Or{
			squirrel.ConcatExpr("NOT EXISTS (", planned, ")"), squirrel.ConcatExpr("EXISTS (", waiting, ")"),
		})

	behind := func(last Entry) squirrel.Sqlizer { return squirrel.Gt{"path": last.Path} }
	return pages(query, behind, func(page *[]Entry, query squirrel.SelectBuilder) error {
		return r.readList(ctx, "read entries that are not packed", page, query)
	})
}
