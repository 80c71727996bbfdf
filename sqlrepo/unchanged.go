package sqlrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Unchanged compares an upload whose scan is done with the source's latest complete upload, and returns that if the two
// would come to the same: they have the same recipe but for the shard size, are in the same store, and have the same
// entries, and nothing failed in either. It returns ErrNotFound otherwise, and if the upload is to be made in any case.
// That holds for one that reads all content, since only the content itself shows what the outcome is.
//
// The caller has the lease on the scan, so that the answer stays true: neither upload changes, and a removal of the
// earlier one is refused.
func (r *Repository) Unchanged(ctx context.Context, upload Upload) (previous Upload, err error) {
	if upload.Always || upload.Reread || upload.ScannedAgain || upload.State != Scanning {
		return previous, cmp.Or(ctx.Err(), ErrNotFound)
	}

	latest := sq.Select("MAX(id)").From("uploads").Where(sq.Eq{"source": upload.Source, "state": Complete})
	err = r.db.ReadOne(ctx, "look for the latest complete upload", &previous, sq.Select(schema.UploadFields...).
		From("uploads").Where(sq.ConcatExpr("id = (", latest, ")")))
	if err != nil || !alike(upload, previous) {
		return previous, errors.Join(err, ErrNotFound)
	}

	var planned bool
	err = r.db.ReadOne(ctx, "look for planned shards", &planned, sq.Select().Column(sq.ConcatExpr("EXISTS (",
		sq.Select("1").From("shards").Where(sq.Eq{"upload": upload.ID}), ")")))
	if err != nil || planned {
		return previous, cmp.Or(err, ErrNotFound)
	}
	return previous, r.compareEntries(ctx, upload.ID, previous.ID)
}

// compareEntries returns ErrNotFound if two uploads differ in any entry. It compares some at a time: a read of all of
// them would last long, and an engine keeps for it what others change and delete meanwhile.
func (r *Repository) compareEntries(ctx context.Context, upload, previous int64) error {
	for span, err := range r.pathSpans(ctx, upload) {
		if err != nil {
			return err
		}

		var differs bool
		err := r.db.ReadOne(ctx, "compare with the latest complete upload", &differs, differing(upload, previous, span))
		if err != nil || differs {
			return cmp.Or(err, ErrNotFound)
		}
	}
	return ctx.Err()
}

// alike reports whether two uploads of the same entries have the same DAG, files and indexes.
func alike(a, b Upload) bool {
	return a.Profile == b.Profile && a.Store == b.Store && a.PieceCID == b.PieceCID && indexedAlike(a, b) &&
		a.SymlinkPolicy == b.SymlinkPolicy && slices.Equal(a.Excludes, b.Excludes)
}

// differing is the query that reports whether two uploads differ in any entry of a span. A file is the same if it
// shares the content of the earlier one. Targets, modes and times have to be the same too, as they are given back.
func differing(upload, previous int64, span pathSpan) sq.SelectBuilder {
	number := func(upload int64) sq.Sqlizer {
		return sq.ConcatExpr("(", sq.Select("COUNT(*)").From("entries").Where(sq.Eq{"upload": upload}).
			Where(span.of("path")), ")")
	}

	differ := sq.Select("1").From("entries AS now").
		LeftJoin("entries AS was ON was.upload = ? AND was.path = now.path", previous).
		Where(sq.Eq{"now.upload": upload}).Where(span.of("now.path")).
		Where(sq.Or{
			sq.Eq{"was.id": nil},
			sq.Expr("was.kind <> now.kind OR was.size <> now.size OR was.permissions <> now.permissions"),
			sq.Expr("was.target IS DISTINCT FROM now.target OR was.reason IS DISTINCT FROM now.reason"),
			sq.NotEq{"now.state": []EntryState{Ready, Unsupported}},
			sq.And{sq.Eq{"now.state": Ready}, sq.NotEq{"was.state": []EntryState{Ready, Rescanned}}},
			sq.And{sq.Eq{"now.state": Unsupported}, sq.NotEq{"was.state": Unsupported}},
			sq.And{sq.Eq{"now.kind": File, "now.state": Ready},
				sq.Expr("now.origin IS DISTINCT FROM COALESCE(was.origin, was.id)")},
			sq.And{sq.NotEq{"now.kind": Special},
				sq.Expr("(was.mtime_ns <> now.mtime_ns OR COALESCE(was.mtime_era, 0) <> COALESCE(now.mtime_era, 0))")},
		})

	return sq.Select().Column(sq.ConcatExpr(number(upload), " <> ", number(previous), " OR EXISTS (", differ, ")"))
}

// ConfirmUnchanged removes an upload for which Unchanged has found an earlier one, and records with that one that
// nothing has changed since. It gets the tags of the upload, and its inodes and ctimes. The lease on the stage becomes
// that on the removal. ConfirmUnchanged returns ErrLeaseLost if another worker has the stage, and ErrState if the
// earlier upload is not complete any more.
func (r *Repository) ConfirmUnchanged(ctx context.Context, stage Stage, previous int64) (removed Stage, err error) {
	// This comes first: once the upload is removed, its entries may go.
	if err := r.findAgain(ctx, stage, previous); err != nil {
		return removed, err
	}

	upload := stage.Upload.ID
	err = r.db.Transact(ctx, fmt.Sprintf("drop upload %d", upload), func(tx *core.Tx) error {
		if err := tx.Later(ctx, schema.NeedsOf(sq.Eq{"id": stage.Upload.Source}), nil); err != nil {
			return err
		}

		// Until the transaction ends, nobody opens or removes an upload of the source.
		locked := sq.Select("id").From("sources").Where(sq.Eq{"id": stage.Upload.Source}).Suffix(r.db.RowLock)
		if err := tx.LaterRead(ctx, make([]int64, 1), locked, nil); err != nil {
			return err
		}

		err := tx.Get(ctx, &removed.Upload, unchanged(stage).Suffix("RETURNING "+core.ColumnList(schema.UploadFields)))
		if errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("upload %d: %w", upload, ErrLeaseLost)
		}
		if err != nil {
			return err
		}

		confirmed := sq.Update("uploads").Set("confirmed_at", NewTime(r.db.Now())).Set("confirmed_by", upload).
			Where(sq.Eq{"id": previous, "state": Complete})
		err = tx.Later(ctx, confirmed, func(rows int64) error { return core.Affected(rows, notComplete(previous)) })
		if err != nil {
			return err
		}
		return moveTags(ctx, tx, upload, previous)
	})
	return removed, err
}

func notComplete(upload int64) error {
	return fmt.Errorf("upload %d: %w: it is not complete any more", upload, ErrState)
}

// findAgain records with the entries of an earlier upload where those of a stage were found now. A run that was told to
// ignore other inodes or ctimes need be told so only once. Most often they are where they were, and nothing is written.
// Each transaction changes some entries, so that neither renewals of the lease nor others wait for all of them.
func (r *Repository) findAgain(ctx context.Context, stage Stage, previous int64) error {
	for span, err := range r.pathSpans(ctx, stage.Upload.ID) {
		if err != nil {
			return err
		}

		var moved bool
		err := r.db.ReadOne(ctx, "look where entries were found", &moved, movedNow(stage.Upload.ID, previous, span))
		if err != nil {
			return err
		}
		if !moved {
			continue
		}

		seen := sq.Update("uploads").Set("lease_seen", r.db.At(0)).Where(sq.Eq{"state": Scanning})
		err = r.fenced(ctx, "record where entries were found", stage, seen, func(tx *core.Tx) error {
			complete := sq.Select("id").From("uploads").Where(sq.Eq{"id": previous, "state": Complete}).
				Suffix(r.db.RowLock)
			err := tx.LaterRead(ctx, make([]int64, 1), complete, func(rows int64) error {
				return core.Affected(rows, notComplete(previous))
			})
			if err != nil {
				return err
			}
			return tx.Later(ctx, foundAgain(stage.Upload.ID, previous, span), nil)
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// elsewhere matches entries that were found elsewhere than the entries "now".
func elsewhere(entries string) (differ sq.Or) {
	for _, column := range schema.MachineColumns {
		differ = append(differ, sq.Expr(entries+"."+column+" IS DISTINCT FROM now."+column))
	}
	return differ
}

// movedNow is the query that reports whether foundAgain would change anything.
func movedNow(upload, previous int64, span pathSpan) sq.SelectBuilder {
	moved := sq.Select("1").From("entries AS now").
		Join("entries AS was ON was.upload = ? AND was.path = now.path", previous).
		Where(sq.Eq{"now.upload": upload}).Where(span.of("now.path")).Where(elsewhere("was"))
	return sq.Select().Column(sq.ConcatExpr("EXISTS (", moved, ")"))
}

// foundAgain is the update of the entries of a span that were found elsewhere.
func foundAgain(upload, previous int64, span pathSpan) sq.UpdateBuilder {
	update := sq.Update("entries")
	for _, column := range schema.MachineColumns {
		update = update.Set(column, sq.Expr("now."+column))
	}
	now := sq.Select("path").Columns(schema.MachineColumns...).From("entries").Where(sq.Eq{"upload": upload}).
		Where(span.of("path"))
	return update.FromSelect(now, "now").
		Where(sq.Eq{"entries.upload": previous}).Where("entries.path = now.path").Where(elsewhere("entries"))
}

// moveTags gives the tags of one upload to another one.
func moveTags(ctx context.Context, tx *core.Tx, from, to int64) error {
	tags := sq.Select().Column("CAST(? AS BIGINT)", to).Column("tag").From("upload_tags").Where(sq.Eq{"upload": from})
	moved := sq.Insert("upload_tags").Columns(schema.TagColumns...).Select(tags).
		Suffix("ON CONFLICT (upload, tag) DO NOTHING")
	if err := tx.Later(ctx, moved, nil); err != nil {
		return err
	}
	return tx.Later(ctx, sq.Delete("upload_tags").Where(sq.Eq{"upload": from}), nil)
}

// UnchangedSince returns the complete upload of a source since which nothing has changed, as the run of an upload that
// is gone, or a later one, has found. It returns ErrNotFound if no run has.
func (r *Repository) UnchangedSince(ctx context.Context, gone Upload) (previous Upload, err error) {
	err = r.db.ReadOne(ctx, "look for the upload since which nothing has changed", &previous,
		sq.Select(schema.UploadFields...).From("uploads").Where(sq.Eq{"source": gone.Source, "state": Complete}).
			Where(sq.GtOrEq{"confirmed_by": gone.ID}).OrderBy("id DESC").Limit(1))
	return previous, err
}
