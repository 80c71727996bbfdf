package sqlrepo_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestIteratorsLeaveNothingRunning stops in the middle of a page while the next one is read, and fails at another.
func TestIteratorsLeaveNothingRunning(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		repo := sqlrepo.New(db)
		stage := beginStage(t, repo)
		var added []sqlrepo.Entry
		for n := range 4500 {
			added = append(added, sqlrepo.Entry{Path: sqlrepo.Path(fmt.Sprintf("%05d", n))})
		}
		if err := repo.SaveScan(t.Context(), stage, sqlrepo.ScanBatch{Added: added}); err != nil {
			t.Fatal(err)
		}
		verify := enginetest.LeavesNothing(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, stop := range []int{1, 2000, 2001} {
			n := 0
			for _, err := range repo.Entries(ctx, stage.Upload.ID, sqlrepo.EntryFilter{}) {
				if n++; err != nil || n == stop {
					break
				}
			}
		}
		for _, err := range repo.Linkables(ctx, stage.Upload.ID) {
			if err == nil {
				cancel()
			}
		}
		if used := db.Reader.Stats().InUse; used != 0 {
			t.Errorf("%d connections are still in use", used)
		}
		verify()
	})
}
