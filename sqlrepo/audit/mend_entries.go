package audit

import (
	"context"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// SetRoots records the roots of entries in place of any that were recorded before.
func (a *Auditor) SetRoots(ctx context.Context, roots []sqlrepo.Root) error {
	for some := range slices.Chunk(roots, core.KeysAtOnce) {
		ids := make([]int64, len(some))
		for i := range some {
			ids[i] = some[i].Entry
		}

		err := a.db.Transact(ctx, "set the roots of entries", func(tx *core.Tx) error {
			if _, err := tx.Exec(ctx, sq.Delete("roots").Where(a.db.Among("entry", ids))); err != nil {
				return err
			}
			return sqlrepo.InsertRoots(ctx, tx, some)
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Replan forgets what is planned of the content of entries, and whose content they share. They are then planned
// again.
func (a *Auditor) Replan(ctx context.Context, entries []int64) error {
	return a.eachEntry(ctx, "forget the plan of entries", entries, func(of among) []sq.Sqlizer {
		return []sq.Sqlizer{
			unlinked(of), unshared(of), sq.Delete("segments").Where(of("entry")),
			sq.Delete("roots").Where(of("entry")),
			sq.Update("entries").Set("origin", nil).Where(of("id")),
		}
	})
}

// ForgetRoots deletes the roots of entries.
func (a *Auditor) ForgetRoots(ctx context.Context, entries []int64) error {
	return a.eachEntry(ctx, "forget the roots of entries", entries, func(of among) []sq.Sqlizer {
		return []sq.Sqlizer{unlinked(of), sq.Delete("roots").Where(of("entry"))}
	})
}

// ForgetSegments deletes the segments of entries.
func (a *Auditor) ForgetSegments(ctx context.Context, entries []int64) error {
	return a.eachEntry(ctx, "forget the segments of entries", entries, func(of among) []sq.Sqlizer {
		return []sq.Sqlizer{sq.Delete("segments").Where(of("entry"))}
	})
}

// ForgetEntries deletes entries, with all that is known of their content. The next scan finds them as new ones.
func (a *Auditor) ForgetEntries(ctx context.Context, entries []int64) error {
	return a.db.Transact(ctx, "forget entries", func(tx *core.Tx) error {
		return sqlrepo.DeleteEntries(ctx, tx, entries)
	})
}

// unlinked is the update that takes roots that are about to be forgotten out of the count.
func unlinked(of among) sq.Sqlizer {
	theirs := sq.Select("upload").From("entries").Where(of("id"))
	linked := sq.Select("COUNT(*)").From("roots").Join("entries ON entries.id = roots.entry").
		Where("entries.upload = uploads.id").Where(of("roots.entry"))
	return sq.Update("uploads").Set("linked_entries", sq.ConcatExpr("linked_entries - (", linked, ")")).
		Where(core.Within("id", theirs))
}

// unshared is the update that takes entries that are about to lose their origin out of the count.
func unshared(of among) sq.Sqlizer {
	theirs := sq.Select("upload").From("entries").Where(of("id")).Where(sq.NotEq{"origin": nil})
	shared := sq.Select("COUNT(*)").From("entries").Where("upload = uploads.id").Where(of("id")).
		Where(sq.NotEq{"origin": nil})
	return sq.Update("uploads").Set("shared_entries", sq.ConcatExpr("shared_entries - (", shared, ")")).
		Where(core.Within("id", theirs))
}

// LeaveOut marks entries whose content is lost as Failed, with a reason.
func (a *Auditor) LeaveOut(ctx context.Context, entries []int64, reason string) error {
	return a.eachEntry(ctx, "leave entries out", entries, func(of among) []sq.Sqlizer {
		return []sq.Sqlizer{
			unlinked(of), unshared(of), sq.Delete("segments").Where(of("entry")),
			sq.Delete("roots").Where(of("entry")),
			sq.Update("entries").Set("origin", nil).Set("state", sqlrepo.Failed).
				Set("reason", sqlrepo.Text(reason)).Where(of("id")),
		}
	})
}

// among is the condition that a column has the key of one of the given entries.
type among func(column string) sq.Sqlizer

func (a *Auditor) eachEntry(ctx context.Context, doing string, entries []int64,
	statements func(of among) []sq.Sqlizer) error {
	if len(entries) == 0 {
		return ctx.Err()
	}
	for ids := range slices.Chunk(entries, core.KeysAtOnce) {
		of := func(column string) sq.Sqlizer { return a.db.Among(column, ids) }
		if err := a.mend(ctx, doing, statements(of)...); err != nil {
			return err
		}
	}
	return nil
}

// SetSegments replaces the segments of a file.
func (a *Auditor) SetSegments(ctx context.Context, entry int64, segments []sqlrepo.Segment) error {
	return a.db.Transact(ctx, "set the segments of a file", func(tx *core.Tx) error {
		if _, err := tx.Exec(ctx, sq.Delete("segments").Where(sq.Eq{"entry": entry})); err != nil {
			return err
		}
		return sqlrepo.InsertSegments(ctx, tx, segments)
	})
}
