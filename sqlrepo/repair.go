package sqlrepo

import (
	"context"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// The methods below mend rows in which CheckRows found flaws. Each has its own transaction and may be called again.
// None is fenced: the caller holds the lock of LockAll, and has called AtWork.

// mend runs statements in one transaction. They may change who needs what in any space.
func (r *Repository) mend(ctx context.Context, doing string, statements ...sq.Sqlizer) error {
	return r.db.Transact(ctx, doing, func(tx *core.Tx) error {
		for _, statement := range append(statements, schema.NeedsChanged(sq.Update("spaces"))) {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// MendCounters raises the counters that are behind the keys in use.
func (r *Repository) MendCounters(ctx context.Context) error {
	var statements []sq.Sqlizer
	for _, table := range keyed {
		highest := sq.Select("COALESCE(MAX(id), 0)").From(table)
		name := sq.Select().Column("CAST(? AS TEXT)", table)
		statements = append(statements,
			sq.Insert("counters").Columns("name", "value").Select(name.Column("0")).
				Suffix("ON CONFLICT (name) DO NOTHING"),
			sq.Update("counters").Set("value", sq.ConcatExpr("(", highest, ")")).
				Where(sq.Eq{"name": table}).Where(sq.ConcatExpr("value < (", highest, ")")))
	}
	return r.mend(ctx, "set the counters", statements...)
}

// DeleteOrphans deletes rows that belong to rows that do not exist.
func (r *Repository) DeleteOrphans(ctx context.Context) error {
	var statements []sq.Sqlizer
	for _, o := range orphans {
		statements = append(statements, sq.Delete(o.table).Where(o.absent()))
	}
	return r.mend(ctx, "delete orphans", statements...)
}

// MendRevisions gives spaces without a valid revision one that stands for a space with shards.
func (r *Repository) MendRevisions(ctx context.Context) error {
	return r.mend(ctx, "set the revisions of spaces",
		sq.Update("spaces").Set("revision", sq.Expr("ABS(revision) + 1")).Where("revision <= 0"))
}

// MendLeases clears the leases of an upload and of its shards.
func (r *Repository) MendLeases(ctx context.Context, upload int64) error {
	return r.mend(ctx, "clear leases", schema.Free(sq.Update("uploads")).Where(sq.Eq{"id": upload}),
		schema.Free(sq.Update("shards")).Where(sq.Eq{"upload": upload}))
}

// Recount makes the counts of an upload agree with its rows.
func (r *Repository) Recount(ctx context.Context, upload int64) error {
	entries := sq.Select("id").From("entries").Where(sq.Eq{"upload": upload})
	roots := sq.Select("COUNT(*)").From("roots").Where(core.Within("entry", entries))
	aside := sq.Select("COUNT(*)").From("shards").Where(sq.Eq{"upload": upload, "state": ShardPlanned}).
		Where(sq.NotEq{"set_aside_at": nil})

	count := func(what string, kind EntryKind) sq.Sqlizer {
		return sq.ConcatExpr("(", sq.Select(what).From("entries").
			Where(sq.Eq{"upload": upload, "state": linkable, "kind": kind}), ")")
	}

	this := sq.Eq{"id": upload}
	return r.mend(ctx, "count what there is of the upload",
		recounted(sq.Update("uploads"), upload).Set("linked_entries", sq.ConcatExpr("(", roots, ")")).
			Set("aside_shards", sq.ConcatExpr("(", aside, ")")).Where(this),
		sq.Update("uploads").Set("files", count("COUNT(*)", File)).Set("directories", count("COUNT(*)", Directory)).
			Set("links", count("COUNT(*)", Symlink)).
			Set("bytes", count("CAST(COALESCE(SUM(size), 0) AS BIGINT)", File)).
			Where(this).Where(sq.Eq{"state": Complete}))
}

// Settle makes the state of an upload match its root. An upload that has a root becomes complete, unless entries of
// it could not be prepared. An upload that lacks the root that its state promises is linked again. A root or an end
// that the state does not allow is cleared.
func (r *Repository) Settle(ctx context.Context, upload int64) error {
	this := sq.Eq{"id": upload}
	return r.mend(ctx, "set the state of the upload", append(deserved(upload, NewTime(r.db.Now())),
		sq.Update("uploads").Set("root_cid", nil).Where(this).Where(sq.NotEq{"state": rootedStates}),
		sq.Update("uploads").Set("finished_at", nil).Where(this).Where(sq.NotEq{"state": Complete}))...)
}

// rootsOf is the statement that deletes the roots of an upload's entries.
func rootsOf(upload int64) sq.Sqlizer {
	entries := sq.Select("id").From("entries").Where(sq.Eq{"upload": upload})
	return sq.Delete("roots").Where(core.Within("entry", entries))
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
	source := sq.Select("source").From("uploads").Where(sq.Eq{"id": upload})
	err = r.db.ReadOne(ctx, "look for a newer upload", &newer,
		sq.Select("COUNT(*)").From("uploads").
			Where(sq.ConcatExpr("source = (", source, ")")).Where(sq.Gt{"id": upload}).
			Where(sq.NotEq{"state": Removed}))
	return newer == 0, err
}

// SetRoots records the roots of entries in place of any that were recorded before.
func (r *Repository) SetRoots(ctx context.Context, roots []Root) error {
	for some := range slices.Chunk(roots, core.KeysAtOnce) {
		ids := make([]int64, len(some))
		for i := range some {
			ids[i] = some[i].Entry
		}

		err := r.db.Transact(ctx, "set the roots of entries", func(tx *core.Tx) error {
			if _, err := tx.Exec(ctx, sq.Delete("roots").Where(r.db.Among("entry", ids))); err != nil {
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
	return r.eachEntry(ctx, "forget the plan of entries", entries, func(of among) []sq.Sqlizer {
		return []sq.Sqlizer{
			unlinked(of), unshared(of), sq.Delete("segments").Where(of("entry")),
			sq.Delete("roots").Where(of("entry")),
			sq.Update("entries").Set("origin", nil).Where(of("id")),
		}
	})
}

// ForgetRoots deletes the roots of entries.
func (r *Repository) ForgetRoots(ctx context.Context, entries []int64) error {
	return r.eachEntry(ctx, "forget the roots of entries", entries, func(of among) []sq.Sqlizer {
		return []sq.Sqlizer{unlinked(of), sq.Delete("roots").Where(of("entry"))}
	})
}

// ForgetSegments deletes the segments of entries.
func (r *Repository) ForgetSegments(ctx context.Context, entries []int64) error {
	return r.eachEntry(ctx, "forget the segments of entries", entries, func(of among) []sq.Sqlizer {
		return []sq.Sqlizer{sq.Delete("segments").Where(of("entry"))}
	})
}

// ForgetEntries deletes entries, with all that is known of their content. The next scan finds them as new ones.
func (r *Repository) ForgetEntries(ctx context.Context, entries []int64) error {
	return r.db.Transact(ctx, "forget entries", func(tx *core.Tx) error { return r.forget(ctx, tx, entries) })
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
func (r *Repository) LeaveOut(ctx context.Context, entries []int64, reason string) error {
	return r.eachEntry(ctx, "leave entries out", entries, func(of among) []sq.Sqlizer {
		return []sq.Sqlizer{
			unlinked(of), unshared(of), sq.Delete("segments").Where(of("entry")),
			sq.Delete("roots").Where(of("entry")),
			sq.Update("entries").Set("origin", nil).Set("state", Failed).Set("reason", Text(reason)).Where(of("id")),
		}
	})
}

// among is the condition that a column has the key of one of the given entries.
type among func(column string) sq.Sqlizer

func (r *Repository) eachEntry(ctx context.Context, doing string, entries []int64,
	statements func(of among) []sq.Sqlizer) error {
	if len(entries) == 0 {
		return ctx.Err()
	}
	for ids := range slices.Chunk(entries, core.KeysAtOnce) {
		of := func(column string) sq.Sqlizer { return r.db.Among(column, ids) }
		if err := r.mend(ctx, doing, statements(of)...); err != nil {
			return err
		}
	}
	return nil
}

// ForgetIndex makes the shards that name an index uncovered, whether or not the index exists.
func (r *Repository) ForgetIndex(ctx context.Context, index int64) error {
	return r.mend(ctx, "forget the index of shards",
		sq.Update("shards").Set("blob_index", nil).Where(sq.Eq{"blob_index": index}),
		sq.Update("indexes").Set("state", IndexRemoving).Where(sq.Eq{"id": index}))
}
