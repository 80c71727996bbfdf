package removal

import (
	"context"
	"iter"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// EntryRun is a run of consecutive entries of an upload.
type EntryRun struct {
	// Unshared are the keys of entries whose content no later upload has taken over, Shared those of the others.
	Unshared, Shared []int64
	// First and Last are the paths of the first and the last entry of the run.
	First, Last sqlrepo.Path
}

// entriesAtOnce and segmentsAtOnce limit what a transaction deletes. Each entry may have a root besides.
const (
	entriesAtOnce  = 500
	segmentsAtOnce = 1000
)

// EntryRuns yields all entries of an upload, divided into those that some other uploads of its source share and
// those that they do not. An entry that shares another's content has the same path.
func (r *Remover) EntryRuns(ctx context.Context, upload int64, sharers []int64) iter.Seq2[EntryRun, error] {
	type row struct {
		ID   int64        `db:"id"`
		Path sqlrepo.Path `db:"path"`
	}
	return func(yield func(EntryRun, error) bool) {
		query := sq.Select("id", "path").From("entries").Where(sq.Eq{"upload": upload}).OrderBy("path").
			Limit(entriesAtOnce)

		for page := query; ; {
			var rows []row
			if err := r.db.ReadAll(ctx, "read entries", &rows, page); err != nil {
				yield(EntryRun{}, err)
				return
			}
			if len(rows) == 0 {
				return
			}

			ids := make([]int64, len(rows))
			for i := range rows {
				ids[i] = rows[i].ID
			}

			run := EntryRun{Unshared: ids, First: rows[0].Path, Last: rows[len(rows)-1].Path}
			err := r.db.Retry(ctx, "look for shared entries", func() (err error) {
				run, err = tellApart(ctx, r.db.Reader, run, sharers)
				return err
			})
			if !yield(run, err) || err != nil {
				return
			}

			// Go on behind the last path, whatever was deleted meanwhile.
			page = query.Where(sq.Gt{"path": run.Last})
		}
	}
}

// tellApart finds the unshared entries of a run that uploads with these keys share. It looks among the entries with
// the same paths, since there is no index by origin.
func tellApart(ctx context.Context, q core.Queryer, run EntryRun, sharers []int64) (EntryRun, error) {
	if len(sharers) == 0 || len(run.Unshared) == 0 {
		return run, ctx.Err()
	}

	// The index by path finds the candidates, and the bounds of origins leave few of them.
	lowest, highest := slices.Min(run.Unshared), slices.Max(run.Unshared)
	query := sq.Select("origin").From("entries").Where(sq.Eq{"upload": sharers}).
		Where(sq.GtOrEq{"path": run.First}).Where(sq.LtOrEq{"path": run.Last}).
		Where(sq.GtOrEq{"origin": lowest}).Where(sq.LtOrEq{"origin": highest})
	var origins []int64
	if err := q.List(ctx, &origins, query); err != nil {
		return run, err
	}

	shared := make(map[int64]struct{}, len(origins))
	for _, origin := range origins {
		shared[origin] = struct{}{}
	}
	apart := EntryRun{Shared: slices.Clone(run.Shared), First: run.First, Last: run.Last}
	for _, id := range run.Unshared {
		if _, ok := shared[id]; ok {
			apart.Shared = append(apart.Shared, id)
		} else {
			apart.Unshared = append(apart.Unshared, id)
		}
	}
	return apart, nil
}

// SegmentShards returns the keys of the shards that hold segments of the given entries.
func (r *Remover) SegmentShards(ctx context.Context, entries []int64) (shards []int64, err error) {
	for ids := range slices.Chunk(entries, core.KeysAtOnce) {
		var some []int64
		err = r.db.ReadAll(ctx, "look for the shards of entries", &some,
			sq.Select("DISTINCT shard").From("segments").Where(r.db.Among("entry", ids)))
		if err != nil {
			return nil, err
		}
		shards = append(shards, some...)
	}
	return shards, ctx.Err()
}

// RemoveEntries deletes entries of a Removed upload with their segments and roots: as many of the Unshared ones of
// a run as one transaction may change, except those that a remaining upload shares by now. The last segments of an
// entry are deleted together with it.
//
// RemoveEntries returns what is left of the run, with the entries that turned out to be shared among the Shared
// ones, and how many entries and how many rows in all it deleted. It returns ErrLeaseLost if another worker has the
// removal.
func (r *Remover) RemoveEntries(ctx context.Context, stage sqlrepo.Stage,
	run EntryRun) (left EntryRun, gone int, rows int64, err error) {
	err = r.db.Transact(ctx, "delete entries", func(tx *core.Tx) error {
		gone = 0
		// No upload of the source begins or is removed meanwhile.
		source := sq.Select("id").From("sources").Where(sq.Eq{"id": stage.Upload.Source}).Suffix(r.db.RowLock)
		if err := tx.LaterRead(ctx, make([]int64, 1), source, nil); err != nil {
			return err
		}
		if err := sqlrepo.Fence(ctx, tx, stage, r.seenRemoval()); err != nil {
			return err
		}

		// Uploads may have begun or been removed since the run was read.
		now, err := tellApartNow(ctx, tx, stage.Upload, run)
		if err != nil {
			return err
		}

		left = now
		ids := now.Unshared[:min(len(now.Unshared), entriesAtOnce)]
		if len(ids) == 0 {
			rows = 0
			return nil
		}

		// Segments go first: an entry goes together with the last of them.
		some := sq.Select("shard", "chunk").From("segments").Where(r.db.Among("entry", ids)).Limit(segmentsAtOnce)
		rows, err = tx.Exec(ctx, sq.Delete("segments").Where(sq.ConcatExpr("(shard, chunk) IN (", some, ")")))
		if err != nil || rows == segmentsAtOnce {
			return err // there may be more
		}

		gone, left.Unshared = len(ids), now.Unshared[len(ids):]
		for _, of := range []struct{ table, key string }{{"roots", "entry"}, {"entries", "id"}} {
			more, err := tx.Exec(ctx, sq.Delete(of.table).Where(r.db.Among(of.key, ids)))
			if err != nil {
				return err
			}
			rows += more
		}
		return nil
	})
	return left, gone, rows, err
}

// dropAtOnce limits what a transaction of DropEntries deletes.
const dropAtOnce = 5000

// DropEntries deletes all entries of a Removed upload that was never complete and has no shards: nobody shares them,
// and nothing belongs to them. It returns ErrLeaseLost if another worker has the removal.
func (r *Remover) DropEntries(ctx context.Context, stage sqlrepo.Stage) error {
	for rows := int64(dropAtOnce); rows == dropAtOnce; {
		err := r.removal(ctx, stage, "delete entries", func(tx *core.Tx) (err error) {
			some := sq.Select("id").From("entries").Where(sq.Eq{"upload": stage.Upload.ID}).Limit(dropAtOnce)
			rows, err = tx.Exec(ctx, sq.Delete("entries").Where(core.Within("id", some)))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tellApartNow is tellApart with the uploads that exist now, while the source is locked. A scan that takes content
// over meanwhile takes it from a complete upload, which shares the content already; see SaveScan.
func tellApartNow(ctx context.Context, tx *core.Tx, upload sqlrepo.Upload, run EntryRun) (EntryRun, error) {
	var sharers []int64
	err := tx.List(ctx, &sharers, sq.Select("id").From("uploads").Where(sq.Eq{"source": upload.Source}).
		Where(sq.Gt{"id": upload.ID}).Where(sq.NotEq{"state": sqlrepo.Removed}))
	if err != nil {
		return run, err
	}
	return tellApart(ctx, tx, run, sharers)
}
