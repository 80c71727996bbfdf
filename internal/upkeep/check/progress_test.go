package check_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
)

// requireWhole checks that all that was expected was counted, and nothing more.
func requireWhole(t *testing.T, what string, state progress.State) {
	t.Helper()
	if state.ItemsTotal > 0 && state.Items != state.ItemsTotal || state.Bytes != state.BytesTotal ||
		!state.Started() || len(state.Parts) > 0 {
		t.Errorf("%s: %+v", what, state)
	}
}

// TestProgressOfAPhase checks one upload, whose content is partly in a shard of another one, and reads no shards, a
// part of them, or all.
func TestProgressOfAPhase(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t))
	for _, percent := range []float64{0, 33.3, 100} {
		checker, err := checktest.Checker(f, f.repo, f.dir)
		must(t, err)
		checker.Upload, checker.ReadPercent = &f.uploads[1].ID, percent
		checker.Progress = progress.NewTask("", "")

		trees := false
		sum, err := checker.EachPhase(t.Context(), func(state progress.State) {
			requireWhole(t, state.Doing, state)
			// The time goes with the blocks of trees, not with their bytes.
			trees = trees || state.Doing == "checking trees" && state.ItemsTotal > 0 && state.BytesTotal == 0
		})
		must(t, err)
		if sum.Problems > 0 || sum.Uploads != 1 || (sum.Read > 0) != (percent > 0) || !trees {
			t.Errorf("%f %%: %+v", percent, sum)
		}
	}
}

func TestProgressOfAStoreCheck(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t))
	for what, checker := range map[string]check.StoreChecker{
		"with rows": {Repo: f.repo}, "with rows, and all read": {Repo: f.repo, ReadData: true},
		"without rows": {ReadData: true},
	} {
		checker.Store, checker.Workers, checker.Progress = f.job.Store, 2, progress.NewTask("", "")
		sum, err := checker.Run(t.Context(), func(p check.Problem) error { t.Errorf("%s: %s", what, p); return nil })
		must(t, err)
		requireWhole(t, what, checker.Progress.State())
		if sum.Blobs == 0 {
			t.Errorf("%s: %+v", what, sum)
		}
	}
}
