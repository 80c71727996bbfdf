package sqlrepo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// TestSharedEntriesAreFoundInTheNextUpload removes the first of many snapshots that differ in a few files. All entries
// of the next snapshot are read, and of the others only those of the files that have changed.
func TestSharedEntriesAreFoundInTheNextUpload(t *testing.T) {
	const entries, snapshots, changed = 2000, 20, 100
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			stage := beginStage(t, repo)
			first := addFiles(t, repo, stage, entries)
			var sharers []int64
			for i := range snapshots {
				stage = sourceStage(t, repo, fmt.Sprint("snapshot ", i))
				sharers = append(sharers, stage.Upload.ID)
				addSharing(t, repo, stage, first, changed)
			}
			if err := repo.Analyze(t.Context()); err != nil {
				t.Fatal(err)
			}

			recorder.Reset()
			shared := 0
			for run, err := range removal.New(repo).EntryRuns(t.Context(), first[0].Upload, sharers) {
				if err != nil {
					t.Fatal(err)
				}
				shared += len(run.Shared)
			}
			if shared != entries-entries/changed {
				t.Errorf("%d entries are shared", shared)
			}

			runs, path := 0, map[bool]string{true: "upload=? AND path=?", false: "path = ANY"}[engine.Name == sqlite.Name]
			for statement, times := range recorder.Statements() {
				switch {
				case !strings.HasPrefix(statement, "SELECT origin"):
				case strings.Contains(statement, "path >="):
					runs += times
				default:
					if plan := explainGeneric(t, db, statement); !strings.Contains(plan, path) {
						t.Errorf("entries are not found by their paths:\n%s", plan)
					}
				}
			}
			if runs != entries/500 {
				t.Errorf("%d runs of entries were read", runs)
			}
		})
	}
}

// sourceStage begins an upload of another source in the space of beginStage.
func sourceStage(t *testing.T, repo *sqlrepo.Repository, name string) sqlrepo.Stage {
	t.Helper()
	source, err := repo.AddSource(t.Context(), sqlrepo.Source{Space: 1, Name: name, Path: []byte("/" + name)})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := repo.OpenUpload(t.Context(), source.ID, sqlrepo.Upload{})
	if err != nil {
		t.Fatal(err)
	}
	stage, err := repo.ClaimStage(t.Context(), sqlrepo.Claim{Worker: "test", Term: time.Hour}, opened.Upload.ID)
	if err != nil {
		t.Fatal(err)
	}
	return stage
}

// addSharing adds entries that share the content of others, except for one of so many, which have changed.
func addSharing(t *testing.T, repo *sqlrepo.Repository, stage sqlrepo.Stage, from []sqlrepo.Entry, changed int) {
	t.Helper()
	batch := sqlrepo.ScanBatch{Added: slices.Clone(from)}
	for i := range batch.Added {
		if i%changed > 0 {
			batch.Added[i].Origin = from[i].ID
		}
	}
	if err := repo.SaveScan(t.Context(), stage, batch); err != nil {
		t.Fatal(err)
	}
}
