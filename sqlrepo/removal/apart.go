package removal

import (
	"context"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// ownEntry is an entry with content of its own, which others may share.
type ownEntry struct {
	ID   int64        `db:"id"`
	Path sqlrepo.Path `db:"path"`
}

var ownColumns = []string{"id", "path"}

// ownContent matches entries with content of their own. Nobody shares any other entry: what shares content names the
// entry that has it.
var ownContent = sq.And{sq.Eq{"kind": sqlrepo.File}, sq.Eq{"origin": nil}}

const (
	// sharersAtOnce limits how many uploads one query goes through.
	sharersAtOnce = 64
	// pathsAtOnce is up to how many entries are looked for by their paths. More are looked for in the whole run.
	pathsAtOnce = entriesAtOnce / 8
)

// tellApart finds those of the unshared entries of a run that uploads with these keys share. Of the unshared entries
// it is given those with content of their own.
//
// It looks among the entries with the same paths, since there is no index by origin, and in the nearest uploads first:
// most entries are shared by the next upload, so the others are gone through for the few that have changed.
func tellApart(ctx context.Context, q core.Queryer, run EntryRun, own []ownEntry, sharers []int64) (EntryRun, error) {
	own, shared := slices.Clone(own), map[int64]struct{}{}
	isShared := func(id int64) bool {
		_, found := shared[id]
		return found
	}

	for n := 1; len(own) > 0 && len(sharers) > 0; n = min(2*n, sharersAtOnce) {
		some := sharers[:min(n, len(sharers))]
		sharers = sharers[len(some):]

		var origins []int64
		if err := q.List(ctx, &origins, sharedBy(some, run, own)); err != nil {
			return run, err
		}
		for _, id := range origins {
			shared[id] = struct{}{}
		}
		own = slices.DeleteFunc(own, func(entry ownEntry) bool { return isShared(entry.ID) })
	}

	if len(shared) == 0 {
		return run, ctx.Err()
	}
	apart := EntryRun{Shared: slices.Clone(run.Shared), First: run.First, Last: run.Last}
	for _, id := range run.Unshared {
		if isShared(id) {
			apart.Shared = append(apart.Shared, id)
		} else {
			apart.Unshared = append(apart.Unshared, id)
		}
	}
	return apart, nil
}

// sharedBy is the query of the origins that entries of uploads have among some entries of a run.
func sharedBy(uploads []int64, run EntryRun, own []ownEntry) sq.SelectBuilder {
	ids, paths := make([]int64, len(own)), make([]sqlrepo.Path, len(own))
	for i, entry := range own {
		ids[i], paths[i] = entry.ID, entry.Path
	}

	// The index by path finds the candidates, and the bounds of origins leave few of them.
	query := sq.Select("origin").From("entries").Where(sq.Eq{"upload": uploads}).
		Where(sq.GtOrEq{"origin": slices.Min(ids)}).Where(sq.LtOrEq{"origin": slices.Max(ids)})
	if len(own) <= pathsAtOnce {
		return query.Where(sq.Eq{"path": paths})
	}
	return query.Where(sq.GtOrEq{"path": run.First}).Where(sq.LtOrEq{"path": run.Last})
}

// tellApartNow is tellApart with the uploads that exist now, while the source is locked. A scan that takes content
// over meanwhile takes it from a complete upload, which shares the content already; see SaveScan.
func tellApartNow(ctx context.Context, tx *core.Tx, upload sqlrepo.Upload, run EntryRun) (EntryRun, error) {
	var sharers []int64
	err := tx.List(ctx, &sharers, sq.Select("id").From("uploads").Where(sq.Eq{"source": upload.Source}).
		Where(sq.Gt{"id": upload.ID}).Where(sq.NotEq{"state": sqlrepo.Removed}).OrderBy("id"))
	if err != nil || len(sharers) == 0 {
		return run, err
	}

	var own []ownEntry
	for ids := range slices.Chunk(run.Unshared, core.KeysAtOnce) {
		var some []ownEntry
		err := tx.List(ctx, &some, sq.Select(ownColumns...).From("entries").Where(tx.DB.Among("id", ids)).
			Where(ownContent))
		if err != nil {
			return run, err
		}
		own = append(own, some...)
	}
	return tellApart(ctx, tx, run, own, sharers)
}
