//go:build !race

package pipeline_test

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/enginetest"
	"github.com/guppy-prep/guppy/internal/pipeline"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
)

const (
	// maxHeap is about twice what was seen, garbage and all.
	maxHeap = 96 << 20
	// maxGrowth is what each further file may add to the live heap. A tree of ten thousand fills no shard, so that one of
	// a million needs more all the same: about half as much. So 17 bytes kept of each file are too many.
	maxGrowth = 32
)

// TestMemoryStaysFlat prepares ten thousand files and a million, and compares what they need. The race detector, which
// has a memory of its own, leaves this test out: "make test" runs it by its name.
func TestMemoryStaysFlat(t *testing.T) {
	few := sourcetest.Tree{Dirs: 10, Files: 1000, Size: 9, Seed: 1}
	many := sourcetest.Tree{Dirs: 1000, Files: 1000, Size: 9, Seed: 1}
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			small, large := peakHeap(t, engine.Open(t), few), peakHeap(t, engine.Open(t), many)
			t.Logf("live heap: %d MiB, then %d; with garbage: %d MiB, then %d",
				small.live>>20, large.live>>20, small.all>>20, large.all>>20)
			if large.all > maxHeap {
				t.Errorf("the heap grew to %d bytes, more than %d", large.all, maxHeap)
			}
			further := uint64(many.Dirs*many.Files - few.Dirs*few.Files)
			if limit := small.live + maxGrowth*further; large.live > limit {
				t.Errorf("the live heap grew from %d to %d bytes, more than %d", small.live, large.live, limit)
			}
		})
	}
}

// heap is in bytes: live is what the last garbage collection found in use, all is with what it has not collected.
type heap struct{ live, all uint64 }

// peakHeap is the largest heap while a tree is prepared.
func peakHeap(t *testing.T, db *dialect.DB, tree sourcetest.Tree) (peak heap) {
	t.Helper()
	f := newFixture(t, db, sourcetest.NewSynthetic(tree), sourcetest.Root, func(j *pipeline.Job) {
		j.Fresh.ShardSize = 254 << 20
	})
	runtime.GC()
	done, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
		for {
			metrics.Read(samples)
			peak.live = max(peak.live, samples[0].Value.Uint64())
			peak.all = max(peak.all, samples[1].Value.Uint64())
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	upload := f.complete()
	close(done)
	<-sampled
	equal(t, "files", upload.Files, int64(tree.Dirs*tree.Files))
	return peak
}
