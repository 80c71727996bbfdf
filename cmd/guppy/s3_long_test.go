//go:build long

package main

import (
	"maps"
	"slices"
	"testing"
)

// TestS3HoldsWhatADirectoryDoesAfterAll compares a bucket with a directory after each kind of run, on each engine.
func TestS3HoldsWhatADirectoryDoesAfterAll(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		holdsWhatADirectoryDoes(t, e, slices.Sorted(maps.Keys(bucketRuns))...)
	}
}
