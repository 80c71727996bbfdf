package sqlrepo_test

import (
	"encoding/binary"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestFindBlocksLooksUpEachKey looks blocks up in a table without statistics, in one space and in all.
func TestFindBlocksLooksUpEachKey(t *testing.T) {
	const keys, asked = 30_000, 9_000
	space := int64(1)
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			digests := sealNodes(t, repo, keys)[:asked]
			prefixes := make([]int64, asked)
			for i, digest := range digests {
				prefixes[i] = int64(binary.BigEndian.Uint64(digest[:8]))
			}
			for _, in := range []*int64{nil, &space} {
				recorder.Reset()
				found, err := repo.FindBlocks(t.Context(), in, digests)
				if err != nil || len(found) != asked {
					t.Fatalf("%d blocks, %v", len(found), err)
				}
				statement := onlySelect(t, &recorder)
				for _, n := range []int{1, 100, asked} {
					args := []any{probeArgs(t, db, prefixes[:n])[0], int64(sqlrepo.ShardPacked)}
					if in != nil {
						args = append(args, *in)
					}
					checkProbePlan(t, explain(t, db, statement, args...))
				}
			}
		})
	}
}
