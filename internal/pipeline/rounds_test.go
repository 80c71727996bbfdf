//go:build !race

package pipeline_test

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/enginetest"
	"github.com/guppy-prep/guppy/internal/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestInterruptedLinksGiveTheSameShards stops linking of many directories after random batches, with a space that holds
// some of the blocks.
func TestInterruptedLinksGiveTheSameShards(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		files := map[string]string{}
		for i := range 60 {
			files[fmt.Sprintf("%d/%d/f", i%rapid.IntRange(1, 9).Draw(rt, "dirs"), i)] = fmt.Sprint(i % 13)
		}
		root := tree(t, files)
		tiny := func(j *pipeline.Job) { j.Fresh.ShardSize = 4000 }
		undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root, tiny)
		undisturbed.complete()
		faulty := &faultyStore{}
		f := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root, tiny, withFaultyStore(faulty))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stop := int64(rapid.IntRange(1, 2*len(undisturbed.stored())).Draw(rt, "stop after"))
		faulty.onSync = func(n int64) {
			if n == stop {
				cancel()
			}
		}
		f.job.Progress = &progress.Counters{}
		if _, err := f.job.Run(ctx); err != nil { // it may have been quicker
			f.complete()
		}
		sameNames(t, "shards", f.stored(), undisturbed.stored())
		sameDump(t, f.dump(), undisturbed.dump())
		if !maps.Equal(f.blocks(), undisturbed.blocks()) {
			rt.Error("other blocks")
		}
	})
}

// TestPieceCIDsAreThoseOfTheStoredBytes prepares a tree, of which some is stored already when it has changed, with
// piece CIDs.
func TestPieceCIDsAreThoseOfTheStoredBytes(t *testing.T) {
	var want string
	for _, engine := range enginetest.Engines() {
		for _, workers := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s with %d workers", engine.Name, workers), func(t *testing.T) {
				tree := sourcetest.NewSynthetic(pieced)
				f := newFixture(t, engine.Open(t), tree, sourcetest.Root, func(j *pipeline.Job) {
					j.Workers, j.Fresh.PieceCID = workers, true
				})
				f.pieces(f.complete())
				tree.Change(tree.FilePath(1, 3), 0)
				f.pieces(f.complete())
				if want == "" {
					want = f.dump()
				}
				sameDump(t, f.dump(), want)
			})
		}
	}
}

// TestARunGoesOnFromEachBackup takes backups while 8 goroutines pack, and finishes the upload from each. The store has
// what was packed after the backup, and what a process has left that was killed.
func TestARunGoesOnFromEachBackup(t *testing.T) {
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(few()), sourcetest.Root)
	undisturbed.complete()
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			f := newFixture(t, engine.Open(t), sourcetest.NewSynthetic(few()), sourcetest.Root,
				func(j *pipeline.Job) { j.Workers, j.ReadAhead = 8, 16 })
			files := f.backUpWhileRunning()
			f.sameAs(t, undisturbed)
			packing := 0
			for i, file := range files {
				restored := f.restore(t, file, enginetest.Engines()[i%2].Open(t))
				if restored.latest().State == sqlrepo.Packing {
					packing++
				}
				restored.finish()
				restored.sameAs(t, undisturbed)
			}
			if packing < 2 {
				t.Errorf("of %d backups, %d are of shards being packed", len(files), packing)
			}
		})
	}
}
