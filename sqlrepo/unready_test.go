package sqlrepo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestFewEntriesAreFoundByTheirState lists and counts a few failed entries among many, and then many.
func TestFewEntriesAreFoundByTheirState(t *testing.T) {
	const entries, failed = 10_000, 10
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			stage := beginStage(t, repo)
			addFiles(t, repo, stage, entries)
			addFailed(t, repo, stage, failed)
			if err := repo.Analyze(t.Context()); err != nil {
				t.Fatal(err)
			}

			recorder.Reset()
			checkLeftOut(t, repo, stage.Upload.ID, failed)
			for statement := range recorder.Statements() {
				if !strings.Contains(statement, "FROM entries") {
					continue
				}
				if plan := explainGeneric(t, db, statement); !strings.Contains(plan, "entries_unready") {
					t.Errorf("the entries are not found by their state:\n%s", plan)
				}
			}

			// So many are read in their order, page by page.
			addFailed(t, repo, stage, entries)
			checkLeftOut(t, repo, stage.Upload.ID, failed+entries)
		})
	}
}

// checkLeftOut lists and counts entries that failed.
func checkLeftOut(t *testing.T, repo *sqlrepo.Repository, upload int64, failed int) {
	t.Helper()
	var last sqlrepo.Path
	listed := 0
	for entry, err := range repo.LeftOut(t.Context(), upload) {
		if err != nil || entry.Path <= last {
			t.Fatalf("%q is behind %q, %v", entry.Path, last, err)
		}
		last, listed = entry.Path, listed+1
	}

	counted, err := repo.CountEntries(t.Context(), upload, sqlrepo.Failed)
	if err != nil || listed != failed || counted != int64(failed) {
		t.Fatalf("%d entries are listed, %d counted, %v", listed, counted, err)
	}
}

// addFailed adds entries that failed, the last in canonical order first.
func addFailed(t *testing.T, repo *sqlrepo.Repository, stage sqlrepo.Stage, n int) {
	t.Helper()
	var batch sqlrepo.ScanBatch
	for i := range n {
		entry := sqlrepo.Entry{Path: sqlrepo.Path(fmt.Sprintf("failed %d of %05d", n, n-i)), State: sqlrepo.Failed}
		entry.Kind = sqlrepo.File
		batch.Added = append(batch.Added, entry)
	}
	if err := repo.SaveScan(t.Context(), stage, batch); err != nil {
		t.Fatal(err)
	}
}
