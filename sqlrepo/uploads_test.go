package sqlrepo

import (
	"errors"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// TestNothingThatHasGoneOnBeginsAgain looks at an upload, has it go on in some way, and then has it begin again as it
// was seen.
func TestNothingThatHasGoneOnBeginsAgain(t *testing.T) {
	goOn := map[string]func(*testing.T, *Repository, Stage){
		"claimed": func(*testing.T, *Repository, Stage) {},
		"planned": func(t *testing.T, r *Repository, stage Stage) { mustAdvance(t, r, stage, Planning) },
		"given back": func(t *testing.T, r *Repository, stage Stage) {
			if err := r.Release(t.Context(), mustAdvance(t, r, stage, Planning)); err != nil {
				t.Fatal(err)
			}
		},
		"complete": completeEmpty,
	}
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for name, goOn := range goOn {
			clearUploads(t, db)
			r := New(db)
			stage := beginStage(t, r)
			seen := stage.Upload
			seen.Lease = Lease{}
			goOn(t, r, stage)
			before, err := r.Upload(t.Context(), seen.ID)
			if err != nil {
				t.Fatal(err)
			}

			again := seen
			err = r.db.Transact(t.Context(), "begin again", func(tx *core.Tx) error {
				return r.restart(t.Context(), tx, &again, seen)
			})
			if !errors.Is(err, ErrState) {
				t.Errorf("%s: got %v", name, err)
			}
			after, err := r.Upload(t.Context(), seen.ID)
			if err != nil || after.State != before.State || after.Token != before.Token || after.RootCID != before.RootCID {
				t.Errorf("%s: %+v, %v; want %+v", name, after, err, before)
			}
		}
	})
}

func mustAdvance(t *testing.T, r *Repository, stage Stage, next UploadState) Stage {
	t.Helper()
	stage, err := r.Advance(t.Context(), stage, next)
	if err != nil {
		t.Fatal(err)
	}
	return stage
}

// completeEmpty completes an upload of nothing.
func completeEmpty(t *testing.T, r *Repository, stage Stage) {
	t.Helper()
	mustAdvance(t, r, mustAdvance(t, r, stage, Planning), Packing)
	stage, err := r.ClaimStage(t.Context(), Claim{Worker: "test", Term: time.Hour}, stage.Upload.ID)
	if err != nil {
		t.Fatal(err)
	}
	stage, err = r.BeginIndexing(t.Context(), mustAdvance(t, r, stage, Linking), CID{}, Counts{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.CompleteUpload(t.Context(), stage, nil); err != nil {
		t.Fatal(err)
	}
}
