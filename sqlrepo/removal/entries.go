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
	return func(yield func(EntryRun, error) bool) {
		query := sq.Select(ownColumns...).Column(sq.Alias(ownContent, "own")).From("entries").
			Where(sq.Eq{"upload": upload}).OrderBy("path").Limit(entriesAtOnce)

		for page := query; ; {
			var rows []struct {
				ownEntry
				Own bool `db:"own"`
			}
			if err := r.db.ReadAll(ctx, "read entries", &rows, page); err != nil {
				yield(EntryRun{}, err)
				return
			}
			if len(rows) == 0 {
				return
			}

			run := EntryRun{First: rows[0].Path, Last: rows[len(rows)-1].Path}
			var own []ownEntry
			for _, row := range rows {
				run.Unshared = append(run.Unshared, row.ID)
				if row.Own {
					own = append(own, row.ownEntry)
				}
			}

			err := r.db.Retry(ctx, "look for shared entries", func() (err error) {
				run, err = tellApart(ctx, r.db.Reader, run, own, sharers)
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
