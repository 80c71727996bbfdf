//go:build long

package pipeline_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/heap"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const (
	// maxHeap is about twice what was measured, including garbage.
	maxHeap = 96 << 20
	// maxGrowth is what each further file may add to the live heap. Ten thousand files do not fill a shard, so a
	// million need more even so: 25 to 32 bytes were measured, by what is under way as garbage is collected. Keeping 17
	// bytes of each file is too much.
	maxGrowth = 38
)

// TestMemoryStaysFlat prepares ten thousand files and a million, and compares the memory they need. The test does
// not run with the race detector, which needs memory of its own.
func TestMemoryStaysFlat(t *testing.T) {
	few := sourcetest.Tree{Dirs: 10, Files: 1000, Size: 9, Seed: 1}
	many := sourcetest.Tree{Dirs: 1000, Files: 1000, Size: 9, Seed: 1}
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			small, smallCheck := peakHeap(t, engine.Open(t), few)
			large, largeCheck := peakHeap(t, engine.Open(t), many)
			further := uint64(many.Dirs*many.Files - few.Dirs*few.Files)
			checkFlat(t, "prepare", small, large, further)
			checkFlat(t, "check", smallCheck, largeCheck, further)
		})
	}
}

func checkFlat(t *testing.T, what string, small, large heap.Peak, further uint64) {
	t.Helper()
	t.Logf("%s: live heap: %d MiB, then %d; with garbage: %d MiB, then %d",
		what, small.Live>>20, large.Live>>20, small.All>>20, large.All>>20)
	if large.All > maxHeap {
		t.Errorf("%s: the heap grew to %d bytes, more than %d", what, large.All, maxHeap)
	}
	if limit := small.Live + maxGrowth*further; large.Live > limit {
		t.Errorf("%s: the live heap grew from %d to %d bytes, more than %d", what, small.Live, large.Live, limit)
	}
}

// peakHeap returns the largest heap while a tree is prepared, and while the upload is checked.
func peakHeap(t *testing.T, db *dialect.DB, tree sourcetest.Tree) (prepare, check heap.Peak) {
	t.Helper()
	f := newFixture(t, db, sourcetest.NewSynthetic(tree), sourcetest.Root, func(j *pipeline.Job) {
		j.Fresh.ShardSize = 254 << 20
	})
	prepare = heap.PeakWhile(func() {
		result, err := f.run()
		must(t, err)
		equal(t, "state", result.Upload.State, sqlrepo.Complete)
		equal(t, "files", result.Upload.Files, int64(tree.Dirs*tree.Files))
	})
	return prepare, heap.PeakWhile(func() { checktest.Sound(t, f.repo, f.dir) })
}
