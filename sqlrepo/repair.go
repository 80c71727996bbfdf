package sqlrepo

import (
	"context"
	"slices"

	"github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// The methods below mend rows in which CheckRows found flaws. Each has its own transaction and may be called again.
// None is fenced: the caller holds the lock of LockAll, and has called AtWork.

// mend runs statements in one transaction. They may change who needs what in any space.
func (r *Repository) mend(ctx context.Context, doing string, statements ...squirrel.Sqlizer) error {
	return r.withTx(ctx, doing, func(tx *dialect.Tx) error {
		for _, statement := range append(statements, needsChanged(squirrel.Update("spaces"))) {
			if _, err := r.exec(ctx, tx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// MendCounters raises the counters that are behind the keys in use.
func (r *Repository) MendCounters(ctx context.Context) error {
	var statements []squirrel.Sqlizer
	for _, table := range keyed {
		highest := squirrel.Select("COALESCE(MAX(id), 0)").From(table)
		name := squirrel.Select().Column("CAST(? AS TEXT)", table)
		statements = append(statements,
			squirrel.Insert("counters").Columns("name", "value").Select(name.Column("0")).
				Suffix("ON CONFLICT (name) DO NOTHING"),
			squirrel.Update("counters").Set("value", squirrel.ConcatExpr("(", highest, ")")).
				Where(squirrel.Eq{"name": table}).Where(squirrel.ConcatExpr("value < (", highest, ")")))
	}
	return r.mend(ctx, "set the counters", statements...)
}

// DeleteOrphans deletes rows that belong to rows that do not exist.
func (r *Repository) DeleteOrphans(ctx context.Context) error {
	var statements []squirrel.Sqlizer
	for _, o := range orphans {
		statements = append(statements, squirrel.Delete(o.table).Where(o.absent()))
	}
	return r.mend(ctx, "delete orphans", statements...)
}

// MendRevisions gives spaces without a valid revision one that stands for a space with shards.
func (r *Repository) MendRevisions(ctx context.Context) error {
	return r.mend(ctx, "set the revisions of spaces",
		squirrel.Update("spaces").Set("revision", squirrel.Expr("ABS(revision) + 1")).Where("revision <= 0"))
}

// MendLeases clears the leases of an upload and of its shards.
func (r *Repository) MendLeases(ctx context.Context, upload int64) error {
	return r.mend(ctx, "clear leases", free(squirrel.Update("uploads")).Where(squirrel.Eq{"id": upload}),
		free(squirrel.Update("shards")).Where(squirrel.Eq{"upload": upload}))
}

// Recount makes the counts of an upload agree with its rows.
func (r *Repository) Recount(ctx context.Context, upload int64) error {
	entries := squirrel.Select("id").From("entries").Where(squirrel.Eq{"upload": upload})
	roots := squirrel.Select("COUNT(*)").From("roots").Where(within("entry", entries))
	aside := squirrel.Select("COUNT(*)").From("shards").Where(squirrel.Eq{"upload": upload, "state": ShardPlanned}).
		Where(squirrel.NotEq{"set_aside_at": nil})

	count := func(what string, kind EntryKind) squirrel.Sqlizer {
		return squirrel.ConcatExpr("(", squirrel.Select(what).From("entries").
			Where(squirrel.Eq{"upload": upload, "state": linkable, "kind": kind}), ")")
	}

	this := squirrel.Eq{"id": upload}
	return r.mend(ctx, "count what there is of the upload",
		recounted(squirrel.Update("uploads"), upload).Set("linked_entries", squirrel.ConcatExpr("(", roots, ")")).
			Set("aside_shards", squirrel.ConcatExpr("(", aside, ")")).Where(this),
		squirrel.Update("uploads").Set("files", count("COUNT(*)", File)).Set("directories", count("COUNT(*)", Directory)).
			Set("links", count("COUNT(*)", Symlink)).
			Set("bytes", count("CAST(COALESCE(SUM(size), 0) AS BIGINT)", File)).
			Where(this).Where(squirrel.Eq{"state": Complete}))
}

// Settle makes the state of an upload match its root. An upload that has a root becomes complete, unless entries of
// it could not be prepared. An upload that lacks the root that its state promises is linked again. A root or an end
// that the state does not allow is cleared.
func (r *Repository) Settle(ctx context.Context, upload int64) error {
	this := squirrel.Eq{"id": upload}
	return r.mend(ctx, "set the state of the upload", append(deserved(upload, NewTime(r.now())),
		squirrel.Update("uploads").Set("root_cid", nil).Where(this).Where(squirrel.NotEq{"state": rootedStates}),
		squirrel.Update("uploads").Set("finished_at", nil).Where(this).Where(squirrel.NotEq{"state": Complete}))...)
}

// rootsOf is the statement that deletes the roots of an upload's entries.
func rootsOf(upload int64) squirrel.Sqlizer {
	entries := squirrel.Select("id").From("entries").Where(squirrel.Eq{"upload": upload})
	return squirrel.Delete("roots").Where(within("entry", entries))
}

// Reopen makes an upload begin again at its scan when it is next opened. Its packed content stays.
func (r *Repository) Reopen(ctx context.Context, upload int64) error {
	return r.mend(ctx, "open the upload again", unfinished(upload, Scanning).Set("linked_entries", 0), rootsOf(upload))
}

// Relink makes an upload Linking again, from its rows alone.
func (r *Repository) Relink(ctx context.Context, upload int64) error {
	return r.mend(ctx, "have the upload linked again",
		unfinished(upload, Linking).Set("linked_entries", 0).Set("set_aside_at", nil), rootsOf(upload))
}

// GiveUp marks an upload as incomplete because some of its content is lost. What is left of it stays, as other
// uploads may share it.
func (r *Repository) GiveUp(ctx context.Context, upload int64) error {
	return r.mend(ctx, "mark the upload as incomplete", unfinished(upload, Incomplete))
}

// IsLatest reports whether the source has no newer upload that is not removed. Only then can the upload be prepared
// again.
func (r *Repository) IsLatest(ctx context.Context, upload int64) (latest bool, err error) {
	var newer int64
	source := squirrel.Select("source").From("uploads").Where(squirrel.Eq{"id": upload})
	err = r.read(ctx, "look for a newer upload", func() error {
		return r.get(ctx, r.db.Reader, &newer, squirrel.Select("COUNT(*)").From("uploads").
			Where(squirrel.ConcatExpr("source = (", source, ")")).Where(squirrel.Gt{"id": upload}).
			Where(squirrel.NotEq{"state": Removed}))
	})
	return newer == 0, err
}

// SetRoots records the roots of entries in place of any that were recorded before.
func (r *Repository) SetRoots(ctx context.Context, roots []Root) error {
	for some := range slices.Chunk(roots, keysAtOnce) {
		ids := make([]int64, len(some))
		for i := range some {
			ids[i] = some[i].Entry
		}

		err := r.withTx(ctx, "set the roots of entries", func(tx *dialect.Tx) error {
			if _, err := r.exec(ctx, tx, squirrel.Delete("roots").Where(r.db.Among("entry", ids))); err != nil {
				return err
			}
			return r.insertRoots(ctx, tx, some)
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Replan forgets what is planned of the content of entries, and whose content they share. They are then planned
// again.
func (r *Repository) Replan(ctx context.Context, entries []int64) error {
	return r.eachEntry(ctx, "forget the plan of entries", entries, func(of among) []squirrel.Sqlizer {
		return []squirrel.Sqlizer{
			unlinked(of), unshared(of), squirrel.Delete("segments").Where(of("entry")),
			squirrel.Delete("roots").Where(of("entry")),
			squirrel.Update("entries").Set("origin", nil).Where(of("id")),
		}
	})
}

// ForgetRoots deletes the roots of entries.
func (r *Repository) ForgetRoots(ctx context.Context, entries []int64) error {
	return r.eachEntry(ctx, "forget the roots of entries", entries, func(of among) []squirrel.Sqlizer {
		return []squirrel.Sqlizer{unlinked(of), squirrel.Delete("roots").Where(of("entry"))}
	})
}

// ForgetSegments deletes the segments of entries.
func (r *Repository) ForgetSegments(ctx context.Context, entries []int64) error {
	return r.eachEntry(ctx, "forget the segments of entries", entries, func(of among) []squirrel.Sqlizer {
		return []squirrel.Sqlizer{squirrel.Delete("segments").Where(of("entry"))}
	})
}

// ForgetEntries deletes entries, with all that is known of their content. The next scan finds them as new ones.
func (r *Repository) ForgetEntries(ctx context.Context, entries []int64) error {
	return r.withTx(ctx, "forget entries", func(tx *dialect.Tx) error { return r.forget(ctx, tx, entries) })
}

// unlinked is the update that takes roots that are about to be forgotten out of the count.
func unlinked(of among) squirrel.Sqlizer {
	theirs := squirrel.Select("upload").From("entries").Where(of("id"))
	linked := squirrel.Select("COUNT(*)").From("roots").Join("entries ON entries.id = roots.entry").
		Where("entries.upload = uploads.id").Where(of("roots.entry"))
	return squirrel.Update("uploads").Set("linked_entries", squirrel.ConcatExpr("linked_entries - (", linked, ")")).
		Where(within("id", theirs))
}

// unshared is the update that takes entries that are about to lose their origin out of the count.
func unshared(of among) squirrel.Sqlizer {
	theirs := squirrel.Select("upload").From("entries").Where(of("id")).Where(squirrel.NotEq{"origin": nil})
	shared := squirrel.Select("COUNT(*)").From("entries").Where("upload = uploads.id").Where(of("id")).
		Where(squirrel.NotEq{"origin": nil})
	return squirrel.Update("uploads").Set("shared_entries", squirrel.ConcatExpr("shared_entries - (", shared, ")")).
		Where(within("id", theirs))
}

// LeaveOut marks entries whose content is lost as Failed, with a reason.
func (r *Repository) LeaveOut(ctx context.Context, entries []int64, reason string) error {
	return r.eachEntry(ctx, "leave entries out", entries, func(of among) []squirrel.Sqlizer {
		return []squirrel.Sqlizer{
			unlinked(of), unshared(of), squirrel.Delete("segments").Where(of("entry")),
			squirrel.Delete("roots").Where(of("entry")),
			squirrel.Update("entries").Set("origin", nil).Set("state", Failed).Set("reason", Text(reason)).Where(of("id")),
		}
	})
}

// among is the condition that a column has the key of one of the given entries.
type among func(column string) squirrel.Sqlizer

func (r *Repository) eachEntry(ctx context.Context, doing string, entries []int64,
	statements func(of among) []squirrel.Sqlizer) error {
	if len(entries) == 0 {
		return ctx.Err()
	}
	for ids := range slices.Chunk(entries, keysAtOnce) {
		of := func(column string) squirrel.Sqlizer { return r.db.Among(column, ids) }
		if err := r.mend(ctx, doing, statements(of)...); err != nil {
			return err
		}
	}
	return nil
}
