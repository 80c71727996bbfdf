package sqlrepo

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// MaxPathLength bounds an entry's path, in bytes: it is part of an index.
const MaxPathLength = dialect.LongestKey

func entryValues(e Entry) []any {
	return []any{e.ID, e.Upload, []byte(e.Path), int64(e.Kind), e.Size, e.ModTime, int64(e.Mode), e.Target,
		int64(e.State), core.Nullable(Text(e.Reason), ""), core.Nullable(e.Origin, 0), core.Nullable(e.Era, 0),
		core.Nullable(e.Ctime, 0), core.Nullable(e.Inode, 0), core.Nullable(core.Number(e.Unproven), 0)}
}

// EntryFilter narrows a list of entries; nil means all.
type EntryFilter struct {
	States []EntryState
	Kinds  []EntryKind
	// Below, if not "", is the directory whose entries are wanted.
	Below Path
	// Behind, if not "", is an entry. Entries up to it, and those below it, are not wanted.
	Behind Path
}

// Entries yields an upload's entries in canonical order. It reads them page by page: rows that are added or deleted
// meanwhile may be seen or not, but none is seen twice.
func (r *Repository) Entries(ctx context.Context, upload int64, filter EntryFilter) iter.Seq2[Entry, error] {
	query := filter.narrow(sq.Select(schema.EntryFields...).From("entries").Where(sq.Eq{"upload": upload}))
	behind := func(last Entry) sq.Sqlizer { return sq.Gt{"path": last.Path} }
	pages := core.Rows(ctx, r.db, "read entries", query.OrderBy("path"), behind)
	if !unready(filter.States) {
		return pages
	}

	return func(yield func(Entry, error) bool) {
		few, all, err := r.fewEntries(ctx, query)
		if err != nil {
			yield(Entry{}, err)
			return
		}

		if !all {
			pages(yield)
			return
		}
		for _, entry := range few {
			if !yield(entry, nil) {
				return
			}
		}
	}
}

func (f EntryFilter) narrow(query sq.SelectBuilder) sq.SelectBuilder {
	if f.States != nil {
		query = query.Where(inStates(f.States...))
	}
	if f.Kinds != nil {
		query = query.Where(sq.Eq{"kind": f.Kinds})
	}
	if f.Below != "" {
		query = query.Where(sq.Gt{"path": f.Below + "\x00"}).Where(sq.Lt{"path": f.Below + "\x01"})
	}
	if f.Behind != "" {
		query = query.Where(sq.GtOrEq{"path": f.Behind + "\x01"})
	}
	return query
}

// inStates matches entries in some states. There is an index of those that are not Ready, which an engine uses only if
// the statement itself says that it asks for no others.
func inStates(states ...EntryState) sq.Sqlizer {
	in := sq.Sqlizer(sq.Eq{"state": states})
	if unready(states) {
		in = sq.And{sq.Expr("state <> 0"), in}
	}
	return in
}

func unready(states []EntryState) bool { return len(states) > 0 && !slices.Contains(states, Ready) }

// fewAtOnce is up to how many entries are read without their order.
const fewAtOnce = 8000

// fewEntries reads, in canonical order, the entries that are not Ready, and reports whether it has read all. Mostly
// they are few among many: an engine that was asked for them in their order would go through all entries by path.
func (r *Repository) fewEntries(ctx context.Context, query sq.SelectBuilder) (few []Entry, all bool, err error) {
	err = r.db.ReadAll(ctx, "read entries", &few, query.Limit(fewAtOnce+1))
	slices.SortFunc(few, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	return few, len(few) <= fewAtOnce, err
}

// ScanBatch is what a scan found out about some entries.
type ScanBatch struct {
	// Added entries get their keys in this order.
	Added []Entry
	// Changed entries replace those with their keys. What was planned, packed or linked of them is forgotten.
	Changed []Entry
	// Touched entries replace those with their keys. Their content is the same, so the work done for them stays.
	Touched []Entry
	// Vanished are the keys of entries that no longer exist.
	Vanished []int64
	// Unreachable are the keys of entries that become Unreachable, Restored those of entries that are Ready again.
	// The work done for them stays.
	Unreachable, Restored []int64
	// Previous is the upload that the Origins of entries belong to, 0 if there is none.
	Previous int64
}

// Len returns the number of entries in the batch.
func (b ScanBatch) Len() int {
	return len(b.Added) + len(b.Changed) + len(b.Touched) + len(b.Vanished) + len(b.Unreachable) + len(b.Restored)
}

// takesOver reports whether an entry of the batch has the content of an earlier one.
func (b ScanBatch) takesOver() bool {
	reused := func(entry Entry) bool { return entry.Origin != 0 }
	return slices.ContainsFunc(b.Added, reused) || slices.ContainsFunc(b.Changed, reused)
}

// SaveScan records a batch in one transaction. It returns ErrSpaceChanged if the batch takes content over from a
// Previous upload that is no longer complete: the content that it shared may be gone.
func (r *Repository) SaveScan(ctx context.Context, stage Stage, batch ScanBatch) error {
	found := counting("found_entries", int64(len(batch.Added)-len(batch.Vanished)))
	return r.fenced(ctx, "record scanned entries", stage, found, func(tx *core.Tx) error {
		if err := r.keepPrevious(ctx, tx, batch); err != nil {
			return err
		}

		// Changed entries lose their old rows and get new ones under the same keys.
		gone := append([]int64{}, batch.Vanished...)
		for _, entry := range batch.Changed {
			gone = append(gone, entry.ID)
		}

		if err := r.unlink(ctx, tx, stage.Upload.ID, gone); err != nil {
			return err
		}
		if err := DeleteEntries(ctx, tx, gone); err != nil {
			return err
		}
		if err := insertEntries(ctx, tx, stage, batch.Changed); err != nil {
			return err
		}

		// Touched entries keep their segments and roots.
		if err := r.replace(ctx, tx, stage, batch.Touched); err != nil {
			return err
		}
		if err := r.mark(ctx, tx, batch.Unreachable, Unreachable); err != nil {
			return err
		}
		if err := r.mark(ctx, tx, batch.Restored, Ready); err != nil {
			return err
		}

		if len(batch.Added) == 0 {
			return nil
		}
		first, err := tx.NextIDs(ctx, "entries", len(batch.Added))
		if err != nil {
			return err
		}
		for i := range batch.Added {
			batch.Added[i].ID = first + int64(i)
		}
		return insertEntries(ctx, tx, stage, batch.Added)
	})
}

// keepPrevious keeps the upload that a batch takes content over from complete until the transaction ends.
func (r *Repository) keepPrevious(ctx context.Context, tx *core.Tx, batch ScanBatch) error {
	if batch.Previous == 0 || !batch.takesOver() {
		return nil
	}
	complete := sq.Select("id").From("uploads").Where(sq.Eq{"id": batch.Previous, "state": Complete}).
		Suffix(r.db.RowLock)
	return tx.LaterRead(ctx, make([]int64, 1), complete, func(rows int64) error {
		return core.Affected(rows, fmt.Errorf("upload %d, whose content is taken over: %w", batch.Previous, ErrSpaceChanged))
	})
}

func insertEntries(ctx context.Context, tx *core.Tx, stage Stage, entries []Entry) error {
	return tx.BulkInsert(ctx, "entries", schema.EntryColumns, len(entries), func(i int) []any {
		entries[i].Upload = stage.Upload.ID
		return entryValues(entries[i])
	})
}

// replace gives entries new rows under their keys.
func (r *Repository) replace(ctx context.Context, tx *core.Tx, stage Stage, entries []Entry) error {
	for some := range slices.Chunk(entries, core.KeysAtOnce) {
		ids := make([]int64, len(some))
		for i, entry := range some {
			ids[i] = entry.ID
		}
		if err := tx.Later(ctx, sq.Delete("entries").Where(r.db.Among("id", ids)), nil); err != nil {
			return err
		}
	}
	return insertEntries(ctx, tx, stage, entries)
}

// mark gives entries a state that needs no reason.
func (r *Repository) mark(ctx context.Context, tx *core.Tx, entries []int64, state EntryState) error {
	for ids := range slices.Chunk(entries, core.KeysAtOnce) {
		err := tx.Later(ctx, sq.Update("entries").Set("state", state).Set("reason", nil).
			Where(r.db.Among("id", ids)), nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// unlink takes entries that are about to be forgotten out of the count of linked entries.
func (r *Repository) unlink(ctx context.Context, tx *core.Tx, upload int64, entries []int64) error {
	for ids := range slices.Chunk(entries, core.KeysAtOnce) {
		linked := sq.Select("COUNT(*)").From("roots").Where(r.db.Among("entry", ids))
		count := sq.Update("uploads").Where(sq.Eq{"id": upload}).
			Set("linked_entries", sq.ConcatExpr("linked_entries - (", linked, ")"))
		if err := tx.Later(ctx, count, nil); err != nil {
			return err
		}
	}
	return nil
}

// DeleteEntries deletes entries with all that is planned or known of their content. Packed blocks stay in their shards.
func DeleteEntries(ctx context.Context, tx *core.Tx, entries []int64) error {
	for ids := range slices.Chunk(entries, core.KeysAtOnce) {
		for _, of := range []struct{ table, key string }{{"segments", "entry"}, {"roots", "entry"}, {"entries", "id"}} {
			if err := tx.Later(ctx, sq.Delete(of.table).Where(tx.DB.Among(of.key, ids)), nil); err != nil {
				return err
			}
		}
	}
	return nil
}
