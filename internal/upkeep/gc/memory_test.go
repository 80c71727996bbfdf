//go:build long

package gc_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/heap"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const (
	// fewNodes and manyNodes are the nodes of an upload that is removed; there is an entry for each ten.
	fewNodes, manyNodes = 50_000, 500_000
	// maxGrowth is what each further node may add to the live heap, with its part of an entry and a shard. Keeping the
	// key of each would be eight bytes.
	maxGrowth = 4
	// fullPages is what pages of rows may add that are not full with few nodes.
	fullPages = 2 << 20
)

// TestRemovalMemoryStaysFlat removes an upload beside one that stays, with few nodes and with ten times as many.
func TestRemovalMemoryStaysFlat(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			plan, remove := removalHeap(t, engine, fewNodes)
			morePlan, moreRemove := removalHeap(t, engine, manyNodes)
			for _, one := range []struct {
				what         string
				small, large heap.Peak
			}{{"plan", plan, morePlan}, {"remove", remove, moreRemove}} {
				t.Logf("%s: live heap: %d KiB, then %d; with garbage: %d KiB, then %d", one.what,
					one.small.Live>>10, one.large.Live>>10, one.small.All>>10, one.large.All>>10)
				if limit := one.small.Live + fullPages + maxGrowth*(manyNodes-fewNodes); one.large.Live > limit {
					t.Errorf("%s: the live heap grew from %d to %d bytes, more than %d", one.what, one.small.Live,
						one.large.Live, limit)
				}
			}
		})
	}
}

// removalHeap returns the largest heap while the removal of an upload is planned, and while it is removed.
func removalHeap(t *testing.T, engine enginetest.Engine, nodes int) (plan, remove heap.Peak) {
	t.Helper()
	f := newFixture(t, engine.Open(t), 2)
	upload := f.fill(0, nodes)
	f.fill(1, nodes)
	row, err := f.repo.Upload(t.Context(), upload)
	must(t, err)

	collector := f.collector()
	plan = heap.PeakWhile(func() {
		sum, err := collector.Plan(t.Context(), f.space.ID, []sqlrepo.Upload{row})
		must(t, err)
		if sum.Nodes != int64(nodes) || sum.Entries != int64(nodes/10) {
			t.Errorf("planned %+v", sum)
		}
	})
	remove = heap.PeakWhile(func() {
		must(t, collector.Mark(t.Context(), row))
		sum, err := collector.Collect(t.Context(), f.space.ID)
		must(t, err)
		if sum.Nodes != int64(nodes) || sum.Uploads != 1 {
			t.Errorf("removed %+v", sum)
		}
	})
	return plan, remove
}
