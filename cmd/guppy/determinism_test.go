package main

import (
	"fmt"
	"testing"
)

// TestWorkersAndEnginesLeaveNoTrace compares the shards and dumps of the same work done in different ways.
func TestWorkersAndEnginesLeaveNoTrace(t *testing.T) {
	t.Parallel()
	program, corpus := build(t), t.TempDir()
	if err := writeCorpus(corpus); err != nil {
		t.Fatal(err)
	}

	var want outcome
	for _, e := range engines() {
		for _, workers := range []int{1, 2, 8} {
			t.Run(fmt.Sprintf("%s, %d workers", e.name, workers), func(t *testing.T) {
				i := install(t, program, e)
				i.run(t, "prepare", corpus, "--shard-size", "2MiB", "--workers", fmt.Sprint(workers))

				got := i.outcome(t)
				if want.root == "" {
					want = got
				}
				requireSame(t, got, want)
			})
		}
	}
}
