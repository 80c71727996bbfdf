//go:build long

package main

import "testing"

// TestAnyNumberOfWorkersLeavesNoTrace is TestWorkersAndEnginesLeaveNoTrace with more workers on each engine.
func TestAnyNumberOfWorkersLeavesNoTrace(t *testing.T) {
	t.Parallel()
	var ways []wayToWork
	for _, e := range engines() {
		for _, workers := range []int{1, 2, 8} {
			ways = append(ways, wayToWork{e, workers})
		}
	}
	leaveNoTrace(t, ways)
}
