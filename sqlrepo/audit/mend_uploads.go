package audit

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// MendLeases clears the leases of an upload and of its shards.
func (a *Auditor) MendLeases(ctx context.Context, upload int64) error {
	return a.mend(ctx, "clear leases", schema.Free(sq.Update("uploads")).Where(sq.Eq{"id": upload}),
		schema.Free(sq.Update("shards")).Where(sq.Eq{"upload": upload}))
}

// ForgetStop clears why and when a run of an upload stopped.
func (a *Auditor) ForgetStop(ctx context.Context, upload int64) error {
	return a.mend(ctx, "forget a stop",
		sq.Update("uploads").Set("stopped_at", nil).Set("stop_reason", nil).Where(sq.Eq{"id": upload}))
}

// Recount makes the counts of an upload agree with its rows.
func (a *Auditor) Recount(ctx context.Context, upload int64) error {
	entries := sq.Select("id").From("entries").Where(sq.Eq{"upload": upload})
	roots := sq.Select("COUNT(*)").From("roots").Where(core.Within("entry", entries))
	aside := sq.Select("COUNT(*)").From("shards").Where(sq.Eq{"upload": upload, "state": sqlrepo.ShardPlanned}).
		Where(sq.NotEq{"set_aside_at": nil})

	count := func(what string, kind sqlrepo.EntryKind) sq.Sqlizer {
		return sq.ConcatExpr("(", sq.Select(what).From("entries").
			Where(sq.Eq{"upload": upload, "state": sqlrepo.LinkableStates, "kind": kind}), ")")
	}

	this := sq.Eq{"id": upload}
	return a.mend(ctx, "count what there is of the upload",
		sqlrepo.Recounted(sq.Update("uploads"), upload).Set("linked_entries", sq.ConcatExpr("(", roots, ")")).
			Set("aside_shards", sq.ConcatExpr("(", aside, ")")).Where(this),
		sq.Update("uploads").Set("files", count("COUNT(*)", sqlrepo.File)).
			Set("directories", count("COUNT(*)", sqlrepo.Directory)).
			Set("links", count("COUNT(*)", sqlrepo.Symlink)).
			Set("bytes", count("CAST(COALESCE(SUM(size), 0) AS BIGINT)", sqlrepo.File)).
			Where(this).Where(sq.Eq{"state": sqlrepo.Complete}))
}

// Settle makes the state of an upload match its root. An upload that has a root becomes complete, unless entries of
// it could not be prepared. An upload that lacks the root that its state promises is linked again. A root or an end
// that the state does not allow is cleared.
func (a *Auditor) Settle(ctx context.Context, upload int64) error {
	this := sq.Eq{"id": upload}
	return a.mend(ctx, "set the state of the upload", append(sqlrepo.SetDeserved(upload, sqlrepo.NewTime(a.db.Now())),
		sq.Update("uploads").Set("root_cid", nil).Where(this).Where(sq.NotEq{"state": sqlrepo.RootedStates}),
		sq.Update("uploads").Set("finished_at", nil).Where(this).Where(sq.NotEq{"state": sqlrepo.Complete}))...)
}

// Reopen makes an upload begin again at its scan when it is next opened. Its packed content stays.
func (a *Auditor) Reopen(ctx context.Context, upload int64) error {
	return a.mend(ctx, "open the upload again",
		sqlrepo.SetUnfinished(upload, sqlrepo.Scanning).Set("linked_entries", 0), rootsOf(upload))
}

// Relink makes an upload Linking again, from its rows alone.
func (a *Auditor) Relink(ctx context.Context, upload int64) error {
	return a.mend(ctx, "have the upload linked again",
		sqlrepo.SetUnfinished(upload, sqlrepo.Linking).Set("linked_entries", 0).Set("set_aside_at", nil), rootsOf(upload))
}

// GiveUp marks an upload as incomplete because some of its content is lost. What is left of it stays, as other
// uploads may share it.
func (a *Auditor) GiveUp(ctx context.Context, upload int64) error {
	return a.mend(ctx, "mark the upload as incomplete", sqlrepo.SetUnfinished(upload, sqlrepo.Incomplete))
}

// rootsOf is the statement that deletes the roots of an upload's entries.
func rootsOf(upload int64) sq.Sqlizer {
	entries := sq.Select("id").From("entries").Where(sq.Eq{"upload": upload})
	return sq.Delete("roots").Where(core.Within("entry", entries))
}
