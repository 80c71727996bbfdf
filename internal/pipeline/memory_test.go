//go:build !race

package pipeline_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/enginetest"
	"github.com/guppy-prep/guppy/internal/pipeline"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
)

// TestMemoryStaysFlat prepares a million files and ten thousand, and compares the largest heaps. The race detector, which
// has a memory of its own, leaves this test out.
func TestMemoryStaysFlat(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		million := peakHeap(t, db, sourcetest.Tree{Dirs: 1000, Files: 1000, Size: 9, Seed: 1})
		t.Logf("largest heap: %d MiB", million>>20)
		if limit := uint64(128 << 20); million > limit {
			t.Errorf("the heap grew to %d bytes, more than %d", million, limit)
		}
	})
}

// peakHeap is the largest heap while a tree is prepared.
func peakHeap(t *testing.T, db *dialect.DB, tree sourcetest.Tree) (peak uint64) {
	f := newFixture(t, db, sourcetest.NewSynthetic(tree), sourcetest.Root, func(j *pipeline.Job) {
		j.Fresh.ShardSize = 254 << 20
	})
	done := make(chan struct{})
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapInuse)
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	upload := f.complete()
	close(done)
	<-sampled
	equal(t, "files", upload.Files, int64(tree.Dirs*tree.Files))
	return peak
}
