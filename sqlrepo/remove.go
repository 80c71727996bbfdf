package sqlrepo

import (
	"context"
	"fmt"
	"iter"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// RemoveUpload marks an upload as Removed, in one small commit. From then on nothing takes over its content, and
// the worker that claims its removal deletes what no other upload needs. RemoveUpload takes away leases on the
// upload that have ended. It returns ErrNotFound if there is no such upload, and ErrAtWork, naming the worker,
// while one works on it or scans its source.
func (r *Repository) RemoveUpload(ctx context.Context, id int64) error {
	return r.db.Transact(ctx, fmt.Sprintf("remove upload %d", id), func(tx *core.Tx) error {
		var source int64
		of := sq.Select("source").From("uploads").Where(sq.Eq{"id": id})
		if err := tx.Get(ctx, &source, of); err != nil {
			return err
		}

		// Other removals that are deciding what is needed have to look again.
		if err := tx.Later(ctx, schema.NeedsOf(sq.Eq{"id": source}), nil); err != nil {
			return err
		}

		// No other upload of the source begins meanwhile.
		if err := r.lockRow(ctx, tx, "sources", source); err != nil {
			return err
		}
		if err := r.stopScans(ctx, tx, source); err != nil {
			return err
		}

		// No worker claims the upload or its removal between the look for leases and the update.
		if err := r.lockRow(ctx, tx, "uploads", id); err != nil {
			return err
		}
		if err := StopWork(ctx, tx, id); err != nil {
			return err
		}

		_, err := tx.Exec(ctx, removed(id))
		return err
	})
}

// lockRow keeps a row from being changed until the transaction ends.
func (r *Repository) lockRow(ctx context.Context, tx *core.Tx, table string, id int64) error {
	var locked int64
	return tx.Get(ctx, &locked, sq.Select("id").From(table).Where(sq.Eq{"id": id}).Suffix(r.db.RowLock))
}

// stopScans makes sure that no worker scans a source: a scan may be taking content over from any of its uploads.
func (r *Repository) stopScans(ctx context.Context, tx *core.Tx, source int64) error {
	var scans []Upload
	err := tx.List(ctx, &scans, sq.Select(schema.UploadFields...).From("uploads").
		Where(sq.Eq{"source": source}).Where(sq.NotEq{"state": closed}).Suffix(r.db.RowLock))
	if err != nil {
		return err
	}

	for _, scan := range scans {
		// Only a scan takes content over.
		if scan.State != Scanning || scan.Token == 0 {
			continue
		}
		if err := StopStage(ctx, tx, scan, "scanning its source"); err != nil {
			return err
		}
	}
	return nil
}

// RemovedUploads lists, by key, the Removed uploads of a space that still have a row.
func (r *Repository) RemovedUploads(ctx context.Context, space int64) (removed []Upload, err error) {
	err = r.db.ReadAll(ctx, "list removed uploads", &removed, sq.Select(schema.UploadFields...).From("uploads").
		Where(schema.InSpace(space)).Where(sq.Eq{"state": Removed}).OrderBy("id"))
	return removed, err
}

// HadUploads reports whether the repository has ever had an upload, even if all were removed since.
func (r *Repository) HadUploads(ctx context.Context) (had bool, err error) {
	var numbered int64
	err = r.db.ReadOne(ctx, "look at the number of uploads", &numbered,
		sq.Select("COALESCE(MAX(value), 0)").From("counters").Where(sq.Eq{"name": "uploads"}))
	return numbered > 0, err
}

// ClaimRemoval claims the removal of a Removed upload. It returns ErrNothingToClaim if another worker has it or
// nothing is left of the upload.
func (r *Repository) ClaimRemoval(ctx context.Context, claim Claim, upload int64) (stage Stage, err error) {
	which := sq.And{sq.Eq{"id": upload, "state": Removed}, r.claimable()}
	doing := fmt.Sprintf("claim the removal of upload %d", upload)
	err = r.claim(ctx, doing, "uploads", schema.UploadFields, claim, which, &stage.Upload)
	return stage, err
}

// EntryRun is a run of consecutive entries of an upload.
type EntryRun struct {
	// Unshared are the keys of entries whose content no later upload has taken over, Shared those of the others.
	Unshared, Shared []int64
	// First and Last are the paths of the first and the last entry of the run.
	First, Last Path
}

// entriesAtOnce and segmentsAtOnce limit what a transaction deletes. Each entry may have a root besides.
const (
	entriesAtOnce  = 500
	segmentsAtOnce = 1000
)

// EntryRuns yields all entries of an upload, divided into those that some other uploads of its source share and
// those that they do not. An entry that shares another's content has the same path.
func (r *Repository) EntryRuns(ctx context.Context, upload int64, sharers []int64) iter.Seq2[EntryRun, error] {
	type row struct {
		ID   int64 `db:"id"`
		Path Path  `db:"path"`
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
				run, err = r.tellApart(ctx, r.db.Reader, run, sharers)
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
func (r *Repository) tellApart(ctx context.Context, q core.Queryer, run EntryRun, sharers []int64) (EntryRun, error) {
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
func (r *Repository) SegmentShards(ctx context.Context, entries []int64) (shards []int64, err error) {
	for _, ids := range core.Batches(entries, core.KeysAtOnce) {
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
func (r *Repository) RemoveEntries(ctx context.Context, stage Stage,
	run EntryRun) (left EntryRun, gone int, rows int64, err error) {
	err = r.db.Transact(ctx, "delete entries", func(tx *core.Tx) error {
		gone = 0
		// No upload of the source begins or is removed meanwhile.
		source := sq.Select("id").From("sources").Where(sq.Eq{"id": stage.Upload.Source}).Suffix(r.db.RowLock)
		if err := tx.LaterRead(ctx, make([]int64, 1), source, nil); err != nil {
			return err
		}
		if err := r.fence(ctx, tx, stage, r.seenRemoval()); err != nil {
			return err
		}

		// Uploads may have begun or been removed since the run was read.
		now, err := r.tellApartNow(ctx, tx, stage.Upload, run)
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

// tellApartNow is tellApart with the uploads that exist now, while the source is locked. A scan that takes content
// over meanwhile takes it from a complete upload, which shares the content already; see SaveScan.
func (r *Repository) tellApartNow(ctx context.Context, tx *core.Tx, upload Upload, run EntryRun) (EntryRun, error) {
	var sharers []int64
	err := tx.List(ctx, &sharers, sq.Select("id").From("uploads").Where(sq.Eq{"source": upload.Source}).
		Where(sq.Gt{"id": upload.ID}).Where(sq.NotEq{"state": Removed}))
	if err != nil {
		return run, err
	}
	return r.tellApart(ctx, tx, run, sharers)
}

// removal runs fn in a transaction under the lease on the removal of an upload.
func (r *Repository) removal(ctx context.Context, stage Stage, doing string, fn func(*core.Tx) error) error {
	return r.fenced(ctx, doing, stage, r.seenRemoval(), func(tx *core.Tx) error {
		if err := tx.Flush(ctx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// seenRemoval is the update of an upload whose removal goes on.
func (r *Repository) seenRemoval() sq.UpdateBuilder {
	return sq.Update("uploads").Set("lease_seen", r.db.At(0)).Where(sq.Eq{"state": Removed})
}

// FinishRemoval gives back the lease, and deletes the upload if none of its entries, shards and indexes are left.
func (r *Repository) FinishRemoval(ctx context.Context, stage Stage) (gone bool, err error) {
	none := func(table string) sq.Sqlizer {
		rows := sq.Select("1").From(table).Where(sq.Eq{"upload": stage.Upload.ID})
		return sq.ConcatExpr("NOT EXISTS (", rows, ")")
	}

	err = r.removal(ctx, stage, "finish the removal", func(tx *core.Tx) error {
		rows, err := tx.Exec(ctx, sq.Delete("uploads").Where(sq.Eq{"id": stage.Upload.ID}).
			Where(none("entries")).Where(none("shards")).Where(none("indexes")))
		if gone = rows > 0; gone || err != nil {
			return err
		}
		_, err = tx.Exec(ctx, schema.Settled(sq.Update("uploads")).Where(sq.Eq{"id": stage.Upload.ID}))
		return err
	})
	return gone, err
}
