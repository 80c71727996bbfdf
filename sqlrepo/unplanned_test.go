package sqlrepo_test

import (
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestFilesToPlanAreReadInTheirOrder looks for the last files that are not planned. For a page of them, an engine must
// not read all files or all segments.
func TestFilesToPlanAreReadInTheirOrder(t *testing.T) {
	const files, left = 20_000, 3000
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			stage := beginStage(t, repo)
			added := addFiles(t, repo, stage, files)
			planFiles(t, repo, stage, added[:files-left])

			if err := repo.Analyze(t.Context()); err != nil {
				t.Fatal(err)
			}

			recorder.Reset()
			found := 0
			for file, err := range repo.Unplanned(t.Context(), stage.Upload.ID, sqlrepo.PlanTail{NextOrdinal: 1}) {
				if err != nil || file.ID != added[files-left+found].ID {
					t.Fatalf("file %d is %d, %v", found, file.ID, err)
				}
				found++
			}
			if found != left {
				t.Errorf("%d files are not planned", found)
			}

			for statement := range recorder.Statements() {
				plan := explainGeneric(t, db, statement)
				for _, whole := range []string{"Seq Scan", "Hash", "Sort", "SCAN", "B-TREE"} {
					if strings.Contains(plan, whole) {
						t.Errorf("the plan has %q:\n%s", whole, plan)
					}
				}
			}
		})
	}
}

// planFiles plans files for one shard.
func planFiles(t *testing.T, repo *sqlrepo.Repository, stage sqlrepo.Stage, files []sqlrepo.Entry) {
	t.Helper()
	var shard sqlrepo.PlannedShard
	for i, file := range files {
		segment := sqlrepo.Segment{Entry: file.ID, Chunk: int64(i), Length: file.Size}
		shard.Segments = append(shard.Segments, segment)
	}
	if err := repo.SavePlan(t.Context(), stage, []sqlrepo.PlannedShard{shard}); err != nil {
		t.Fatal(err)
	}
}
