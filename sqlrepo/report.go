package sqlrepo

import (
	"context"
	"iter"

	sq "github.com/Masterminds/squirrel"
)

// Totals are sums over the shards of an upload.
type Totals struct {
	Shards int64 `db:"shards"`
	Nodes  int64 `db:"nodes"`
	Size   int64 `db:"size"`
	// Content is how many bytes of the source the shards hold.
	Content int64 `db:"content"`
}

// Totals sums up the packed shards of an upload.
func (r *Repository) Totals(ctx context.Context, upload int64) (totals Totals, err error) {
	err = r.db.ReadOne(ctx, "sum up the shards", &totals,
		sq.Select("COUNT(*) AS shards",
			"CAST(COALESCE(SUM(nodes), 0) AS BIGINT) AS nodes", "CAST(COALESCE(SUM(size), 0) AS BIGINT) AS size",
			"CAST(COALESCE(SUM(content), 0) AS BIGINT) AS content").From("shards").
			Where(sq.Eq{"upload": upload, "state": ShardPacked}))
	return totals, err
}

// Counts counts the entries of an upload that belong under its root, as CompleteUpload records them.
func (r *Repository) Counts(ctx context.Context, upload int64) (counts Counts, err error) {
	var kinds []struct {
		Kind  EntryKind `db:"kind"`
		N     int64     `db:"n"`
		Bytes int64     `db:"bytes"`
	}

	err = r.db.ReadAll(ctx, "count entries", &kinds,
		sq.Select("kind", "COUNT(*) AS n", "CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes").From("entries").
			Where(sq.Eq{"upload": upload, "state": LinkableStates}).GroupBy("kind"))

	for _, k := range kinds {
		switch k.Kind {
		case File:
			counts.Files, counts.Bytes = k.N, k.Bytes
		case Directory:
			counts.Directories = k.N
		case Symlink:
			counts.Symlinks = k.N
		}
	}
	return counts, err
}

// LeftOut yields, in canonical order, the entries that are not under the root of their upload, with their reasons.
func (r *Repository) LeftOut(ctx context.Context, upload int64) iter.Seq2[Entry, error] {
	return r.Entries(ctx, upload, EntryFilter{States: []EntryState{Changed, Failed, Unsupported}})
}

// CountEntries counts the entries of an upload in a state.
func (r *Repository) CountEntries(ctx context.Context, upload int64, state EntryState) (n int64, err error) {
	err = r.db.ReadOne(ctx, "count entries", &n,
		sq.Select("COUNT(*)").From("entries").
			Where(sq.Eq{"upload": upload}).Where(inStates(state)))
	return n, err
}

// CountNodes returns the number of nodes. It adds up the counts of the shards and reads no node.
func (r *Repository) CountNodes(ctx context.Context) (n int64, err error) {
	err = r.db.ReadOne(ctx, "count nodes", &n, sq.Select("CAST(COALESCE(SUM(nodes), 0) AS BIGINT)").From("shards"))
	return n, err
}
