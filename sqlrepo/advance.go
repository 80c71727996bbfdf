package sqlrepo

import (
	"context"
	"errors"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Advance ends a stage and begins the next one. The lease carries over to the next stage, with two exceptions: all
// workers pack shards, and an Incomplete upload has no work left. After a scan, Advance counts the upload's rows
// again.
//
// The rows decide what is next, so the outcome does not depend on what one attempt has seen:
//   - Rescanning follows Planning instead of Packing if everything planned is packed.
//   - Scanning follows Rescanning instead of Linking while an entry is Changed and the source has not been scanned
//     again. If it has, such entries become Failed. Incomplete follows instead of Linking if entries could not be
//     prepared and the upload does not skip them.
//
// Advance returns ErrLeaseLost if another worker has the stage, and ErrState if the upload is not in the stage's
// state or the next state may not follow it. Advance never enters Indexing or Complete; see BeginIndexing and
// CompleteUpload.
func (r *Repository) Advance(ctx context.Context, stage Stage, next UploadState) (Stage, error) {
	if stage.Upload.State == Rescanning && next == Linking {
		return r.leaveRescanning(ctx, stage)
	}

	update, err := r.advancedAndCounted(ctx, stage, next)
	if err != nil {
		return Stage{}, err
	}
	update = update.Suffix("RETURNING " + core.ColumnList(schema.UploadFields))

	advanced, tried := Stage{}, false
	err = r.db.Retry(ctx, fmt.Sprintf("begin %s", next), func() error {
		if err := checkAdvance(stage, next); err != nil {
			return err
		}

		// If an earlier attempt was committed and only its answer was lost, this one finds no row.
		err := r.db.ChangeOne(ctx, &advanced.Upload, update)
		if errors.Is(err, ErrNotFound) && tried {
			return r.hasAdvanced(ctx, stage, &advanced.Upload)
		}
		tried = true
		if errors.Is(err, ErrNotFound) {
			return r.notHeld(ctx, stage)
		}
		return err
	})

	return advanced, err
}

// advancedAndCounted is the update that ends a stage. If the stage is a scan, the update also sets the tally to what
// there is. The rows are counted before: the update holds the row of the upload, for which renewals of the lease wait.
// They are still so many when it runs, since it compares the token under which they were counted, and no other worker
// adds or deletes any of a scanning upload.
func (r *Repository) advancedAndCounted(ctx context.Context, stage Stage, next UploadState) (sq.UpdateBuilder, error) {
	update := r.advanced(stage, next)
	if checkAdvance(stage, next) != nil || stage.Upload.State != Scanning {
		return update, ctx.Err()
	}
	return r.counted(ctx, update, stage.Upload.ID)
}

// leaveRescanning reads from the rows which state follows, in the transaction that enters it.
func (r *Repository) leaveRescanning(ctx context.Context, stage Stage) (advanced Stage, err error) {
	has := func(states ...EntryState) sq.Sqlizer {
		rows := sq.Select("1").From("entries").Where(sq.Eq{"upload": stage.Upload.ID}).Where(inStates(states...))
		return sq.ConcatExpr("CASE WHEN EXISTS (", rows, ") THEN 1 ELSE 0 END")
	}
	differ := sq.Select().Column(has(Changed)).Column(has(Failed, Unreachable))

	err = r.db.Transact(ctx, "leave rescanning", func(tx *core.Tx) error {
		// Until the transaction ends, no other worker can claim the stage.
		seen := sq.Update("uploads").Set("lease_seen", r.db.At(0)).Where(sq.Eq{"state": Rescanning})
		if err := Fence(ctx, tx, stage, seen); err != nil {
			return err
		}

		found := make([]int64, 2)
		if err := tx.ReadNow(ctx, found, differ); err != nil {
			return err
		}
		changed, failed := found[0] > 0, found[1] > 0

		next := Linking
		switch {
		case changed && !stage.Upload.ScannedAgain:
			next = Scanning
		case (changed || failed) && !stage.Upload.SkipFailed:
			next = Incomplete
		}

		// If the source was scanned again already, what still differs has failed.
		if changed && next != Scanning {
			fail := sq.Update("entries").Set("state", Failed).
				Where(sq.Eq{"upload": stage.Upload.ID}).Where(inStates(Changed))
			if err := tx.Later(ctx, fail, nil); err != nil {
				return err
			}
		}
		return tx.Get(ctx, &advanced.Upload,
			r.advanced(stage, next).Suffix("RETURNING "+core.ColumnList(schema.UploadFields)))
	})
	return advanced, err
}

// notHeld explains why a stage could not go on: another worker has it, or its upload is in another state.
func (r *Repository) notHeld(ctx context.Context, stage Stage) error {
	var state UploadState
	err := r.db.Writer.Get(ctx, &state, sq.Select("state").From("uploads").Where(held(stage)))
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("upload %d: %w", stage.Upload.ID, ErrLeaseLost)
	case err != nil:
		return err
	}
	return fmt.Errorf("upload %d: %w: it is %s, not %s", stage.Upload.ID, ErrState, state, stage.Upload.State)
}

// hasAdvanced reads the upload after an attempt whose answer was lost. If the upload has left the stage and no
// other worker has it, that attempt was committed. Otherwise the lease is lost.
func (r *Repository) hasAdvanced(ctx context.Context, stage Stage, upload *Upload) error {
	err := r.db.Writer.Get(ctx, upload, sq.Select(schema.UploadFields...).From("uploads").
		Where(sq.Eq{"id": stage.Upload.ID, "token": []int64{0, stage.Upload.Token}}).
		Where(sq.NotEq{"state": stage.Upload.State}))
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("upload %d: %w", stage.Upload.ID, ErrLeaseLost)
	}
	return err
}
