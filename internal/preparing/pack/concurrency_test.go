package pack_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/guppy-prep/guppy/internal/source/sourcetest"
)

// TestAsManyReadsAreUnderWayAsAllowed packs a source that answers late, and checks that the allowed number of reads
// is reached and not exceeded. The test's clock moves on once all goroutines wait.
func TestAsManyReadsAreUnderWayAsAllowed(t *testing.T) {
	const files = 1000
	for _, readAhead := range []int{1, 2, 16, 256} {
		for _, size := range []int64{0, 4 << 10, 16 << 10} {
			synctest.Test(t, func(t *testing.T) {
				tree := sourcetest.Tree{Files: files, Size: size, Seed: 1}
				plan := planAll(t, sourcetest.NewSynthetic(tree), files)

				// Planning is fast, only packing is slow.
				tree.Latency = 5 * time.Millisecond
				slow := sourcetest.NewCounting(sourcetest.NewSynthetic(tree))
				f := newFixture(t, slow, plan, readAhead)

				packed, err := f.pack(t.Context())
				must(t, err)
				must(t, packed.Abort())

				equal(t, "reads under way", slow.Peak(), readAhead)
				equal(t, "opens", slow.Total().Opens, files)
				equal(t, "reads", slow.Total().Reads, files)
			})
		}
	}
}
