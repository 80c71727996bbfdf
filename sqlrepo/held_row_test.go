package sqlrepo_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// TestRenewalsDoNotWaitForAWholeUpload looks at the statements that hold the row of an upload, for which renewals of
// its lease wait: none of them reads or deletes the rows of all its entries.
func TestRenewalsDoNotWaitForAWholeUpload(t *testing.T) {
	const entries, linked = 12_000, 11_000
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			stage := beginStage(t, repo)
			added := addFiles(t, repo, stage, entries)

			recorder.Reset()
			stage, err := repo.Advance(t.Context(), stage, sqlrepo.Planning)
			if err != nil || stage.Upload.Found != entries {
				t.Fatalf("%d entries, %v", stage.Upload.Found, err)
			}
			reads := regexp.MustCompile(`^UPDATE.*FROM (entries|segments)`)
			for statement := range recorder.Statements() {
				if reads.MatchString(statement) {
					t.Errorf("an update counts entries or segments: %s", statement)
				}
			}

			stage, err = conformance.Reach(t.Context(), repo, sqlrepo.Claim{}, stage, sqlrepo.Linking)
			if err != nil {
				t.Fatal(err)
			}
			checkReset(t, repo, db, &recorder, stage, added[:linked])
		})
	}
}

// checkReset links entries and forgets that, which takes several transactions.
func checkReset(t *testing.T, repo *sqlrepo.Repository, db *dialect.DB, recorder *enginetest.Recorder,
	stage sqlrepo.Stage, linked []sqlrepo.Entry) {
	t.Helper()
	roots := make([]sqlrepo.Root, len(linked))
	for i, entry := range linked {
		roots[i] = sqlrepo.Root{Entry: entry.ID, CID: sqlrepo.CID{Cid: cid.MustParse("bafkqaaa")}}
	}
	if err := repo.SaveLinks(t.Context(), sqlrepo.LinkBatch{Stage: stage, Roots: roots}); err != nil {
		t.Fatal(err)
	}

	recorder.Reset()
	if err := repo.ResetLinks(t.Context(), stage); err != nil {
		t.Fatal(err)
	}
	deletes := 0
	for statement, times := range recorder.Statements() {
		if regexp.MustCompile(`^DELETE FROM roots`).MatchString(statement) {
			deletes += times
		}
	}
	if deletes < 3 {
		t.Errorf("%d roots were forgotten in %d transactions", len(linked), deletes)
	}

	var left int64
	if err := db.Reader.Get(&left, "SELECT COUNT(*) FROM roots"); err != nil || left != 0 {
		t.Errorf("%d roots are left, %v", left, err)
	}
	if upload, err := repo.Upload(t.Context(), stage.Upload.ID); err != nil || upload.Linked != 0 {
		t.Errorf("%d entries count as linked, %v", upload.Linked, err)
	}
}

// addFiles adds files to a scanning upload.
func addFiles(t *testing.T, repo *sqlrepo.Repository, stage sqlrepo.Stage, n int) []sqlrepo.Entry {
	t.Helper()
	batch := sqlrepo.ScanBatch{Added: make([]sqlrepo.Entry, n)}
	for i := range batch.Added {
		batch.Added[i].Path = sqlrepo.Path(fmt.Sprintf("file %07d", i))
		batch.Added[i].Kind, batch.Added[i].Size = sqlrepo.File, 1
	}
	if err := repo.SaveScan(t.Context(), stage, batch); err != nil {
		t.Fatal(err)
	}
	return batch.Added
}

// TestAllSpacesAreLockedAtOnce asks for the files that are still named, which waits for the seals of all spaces.
func TestAllSpacesAreLockedAtOnce(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			repo := sqlrepo.New(engine.Record(t, &recorder))
			beginStage(t, repo)

			recorder.Reset()
			if _, err := repo.StillNamed(t.Context(), "store", []sqlrepo.Digest{{}}); err != nil {
				t.Fatal(err)
			}
			for statement := range recorder.Statements() {
				if regexp.MustCompile(`^(UPDATE|INSERT INTO) spaces|spaces.* FOR UPDATE`).MatchString(statement) {
					t.Errorf("rows were locked: %s", statement)
				}
			}
		})
	}
}

// TestNothingIsWrittenForEntriesThatAreWhereTheyWere records that nothing has changed in many entries. The transaction
// that drops their upload holds the space and the source, so it goes through none of them.
func TestNothingIsWrittenForEntriesThatAreWhereTheyWere(t *testing.T) {
	const entries = 12_000 // more than one statement goes through
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			repo := sqlrepo.New(engine.Record(t, &recorder))
			stage := beginStage(t, repo)
			addFiles(t, repo, stage, entries)

			// It is compared with itself, which is not complete.
			recorder.Reset()
			_, err := repo.ConfirmUnchanged(t.Context(), stage, stage.Upload.ID)
			if !errors.Is(err, sqlrepo.ErrState) {
				t.Fatal(err)
			}
			looks := 0
			for statement, times := range recorder.Statements() {
				if regexp.MustCompile(`^UPDATE entries`).MatchString(statement) {
					t.Errorf("entries were written: %s", statement)
				}
				if regexp.MustCompile(`^SELECT EXISTS .*FROM entries`).MatchString(statement) {
					looks += times
				}
			}
			if looks < 2 {
				t.Errorf("%d entries were compared by %d statements", entries, looks)
			}
		})
	}
}
