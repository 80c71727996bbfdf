package sqlrepo_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestFindBlocksLooksUpEachKey looks blocks up in one space and in all, before the engines know anything of the tables
// and after.
func TestFindBlocksLooksUpEachKey(t *testing.T) {
	const keys, asked = 30_000, 9_000
	space := int64(1)
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			digests := sealNodes(t, repo, keys)[:asked]

			for range 2 {
				for _, in := range []*int64{nil, &space} {
					recorder.Reset()
					found, err := repo.FindBlocks(t.Context(), in, digests)
					if err != nil || len(found) != asked {
						t.Fatalf("%d blocks, %v", len(found), err)
					}
					checkLookup(t, db, &recorder, digests)
				}
				if err := repo.Analyze(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
