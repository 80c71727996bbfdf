package sqlrepo

import (
	"context"
	"iter"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// rootsAtOnce is the most roots that one transaction of ResetLinks deletes.
const rootsAtOnce = 5000

// ResetLinks forgets the roots of an earlier attempt. The attempt's shards of kind DAGShard stay: others may have
// left out blocks because these shards hold them. Each transaction forgets some roots, so that renewals of the lease
// do not wait for all of them. ResetLinks returns ErrLeaseLost if another worker has the stage.
func (r *Repository) ResetLinks(ctx context.Context, stage Stage) error {
	// Mostly there was no earlier attempt.
	attempted, err := r.anyLinked(ctx, stage.Upload.ID)
	if err != nil {
		return err
	}

	var some []int64
	if attempted {
		for entry, err := range r.linkedEntries(ctx, stage.Upload.ID) {
			if err != nil {
				return err
			}

			if some = append(some, entry); len(some) < rootsAtOnce {
				continue
			}
			if err := r.forgetRoots(ctx, stage, counting("linked_entries", -int64(len(some))), some); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return r.forgetRoots(ctx, stage, sq.Update("uploads").Set("linked_entries", 0), some)
}

// anyLinked reports whether entries of an upload have roots, by the tally.
func (r *Repository) anyLinked(ctx context.Context, upload int64) (bool, error) {
	var linked []int64
	err := r.db.ReadAll(ctx, "look for linked entries", &linked,
		sq.Select("linked_entries").From("uploads").Where(sq.Eq{"id": upload}).Where(sq.NotEq{"linked_entries": 0}))
	return len(linked) > 0, err
}

func (r *Repository) forgetRoots(ctx context.Context, stage Stage, count sq.UpdateBuilder, entries []int64) error {
	return r.fenced(ctx, "forget unfinished links", stage, count, func(tx *core.Tx) error {
		return tx.Later(ctx, sq.Delete("roots").Where(r.db.Among("entry", entries)), nil)
	})
}

// linkedEntries yields the keys of an upload's entries that have roots.
func (r *Repository) linkedEntries(ctx context.Context, upload int64) iter.Seq2[int64, error] {
	type row struct {
		ID     int64 `db:"id"`
		Path   Path  `db:"path"`
		linked bool
	}

	query := sq.Select("id", "path").From("entries").Where(sq.Eq{"upload": upload}).OrderBy("path")
	behind := func(last row) sq.Sqlizer { return sq.Gt{"path": last.Path} }
	rows := core.Pages(query, behind, func(page *[]row, query sq.SelectBuilder) error {
		if err := r.db.ReadAll(ctx, "read entries", page, query); err != nil {
			return err
		}

		ids := make([]int64, len(*page))
		for i, entry := range *page {
			ids[i] = entry.ID
		}
		linked, err := r.having(ctx, "roots", ids)
		for i := range *page {
			(*page)[i].linked = linked[(*page)[i].ID]
		}
		return err
	})

	return func(yield func(int64, error) bool) {
		for entry, err := range rows {
			if (err != nil || entry.linked) && !yield(entry.ID, err) {
				return
			}
		}
	}
}

// having returns which of the given entries have rows in a table.
func (r *Repository) having(ctx context.Context, table string, entries []int64) (has map[int64]bool, err error) {
	if len(entries) == 0 {
		return nil, ctx.Err()
	}

	var found []int64
	err = r.db.ReadAll(ctx, "look which entries are in "+table, &found,
		r.db.Probe(sq.Select(table+".entry").Distinct(), table, "entry", entries))
	has = make(map[int64]bool, len(found))
	for _, id := range found {
		has[id] = true
	}
	return has, err
}
