//go:build long

package pipeline_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// TestRoundTripsOfEngines is TestRoundTripsGrowWithPagesNotWithFiles for all engines.
func TestRoundTripsOfEngines(t *testing.T) {
	few := sourcetest.Tree{Dirs: 10, Files: 100, Size: 9, Seed: 1}
	many := sourcetest.Tree{Dirs: 100, Files: 100, Size: 9, Seed: 1}
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) { compareTrips(t, engine, few, many, trips{statements: 60, inserts: 3000}) })
	}
}

// TestRoundTripsDoNotGrowWithChunks compares the statements for files of 8 chunks and of 80, in one shard.
func TestRoundTripsDoNotGrowWithChunks(t *testing.T) {
	short := sourcetest.Tree{Files: 1, Size: 8 << 20, Seed: 1}
	long := sourcetest.Tree{Files: 1, Size: 80 << 20, Seed: 1}
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) { compareTrips(t, engine, short, long, trips{statements: 9, inserts: 18}) })
	}
}
