package pipeline_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/formats/piece"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// pieced has everything that can be in a shard, but little of it: piece CIDs take long to compute.
var pieced = sourcetest.Tree{Dirs: 2, Files: 6, Seed: 7, SizeOf: func(dir, file int) int64 {
	return map[int]int64{1: 1 << 20, 3: 3<<20 + 17, 5: 0}[file] + int64(dir*file*97)
}}

// TestPieceCIDsAreThoseOfTheStoredBytes prepares a tree with piece CIDs, changes it, and prepares it again, when
// some of it is already stored.
func TestPieceCIDsAreThoseOfTheStoredBytes(t *testing.T) {
	engines := enginetest.Engines()
	computePieces(t, workforce{engines[0], 4}, workforce{engines[1], 1})
}

func computePieces(t *testing.T, all ...workforce) {
	t.Helper()
	var want string
	for _, force := range all {
		t.Run(fmt.Sprintf("%s with %d workers", force.Name, force.workers), func(t *testing.T) {
			tree := sourcetest.NewSynthetic(pieced)
			f := newFixture(t, force.Open(t), tree, sourcetest.Root, func(j *pipeline.Job) {
				j.Workers, j.Fresh.PieceCID = force.workers, true
			})
			f.pieces(f.complete())

			// The second upload stores only what has changed.
			tree.Change(tree.FilePath(1, 3), 0)
			f.pieces(f.complete())

			if want == "" {
				want = f.dump()
			}
			sameDump(t, f.dump(), want)
		})
	}
}

// pieces computes the piece CIDs of an upload's shards from their files.
func (f *fixture) pieces(upload sqlrepo.Upload) {
	f.tb.Helper()
	kinds := map[sqlrepo.ShardKind]int{}
	for row, err := range f.repo.Shards(context.Background(), upload.ID, sqlrepo.ShardFilter{}) {
		must(f.tb, err)
		if row.State != sqlrepo.ShardPacked {
			equal(f.tb, "a shard without a file has a piece", row.Piece != nil, false)
			continue
		}

		kinds[row.Kind]++
		raw, err := os.ReadFile(f.shardFile(row))
		must(f.tb, err)

		var hash piece.Hash
		_, err = hash.Write(raw)
		must(f.tb, err)
		root, err := hash.Root()
		must(f.tb, err)

		if !bytes.Equal(row.Piece, root[:]) {
			f.tb.Errorf("shard %d: piece %x, want %x", row.Ordinal, row.Piece, root)
		}
	}

	equal(f.tb, "it has data and DAG shards", len(kinds), 2)
}

// TestTheRecipeSaysWhetherPieceCIDsAreComputed asks for piece CIDs in another upload and in an unfinished one.
func TestTheRecipeSaysWhetherPieceCIDsAreComputed(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, sourcetest.NewSynthetic(pieced), sourcetest.Root)
		upload := f.complete()
		equal(t, "wanted", upload.PieceCID, false)
		for row, err := range f.repo.Shards(t.Context(), upload.ID, sqlrepo.ShardFilter{}) {
			must(t, err)
			equal(t, "computed", row.Piece != nil, false)
		}
		f.job.Fresh.PieceCID = true
		equal(t, "wanted", f.complete().PieceCID, true)
	})
}
