package main

import (
	"fmt"
	"testing"
)

// TestWorkersAndEnginesLeaveNoTrace compares the shards and dumps of the same work done in different ways.
func TestWorkersAndEnginesLeaveNoTrace(t *testing.T) {
	t.Parallel()
	leaveNoTrace(t, []wayToWork{{engines()[0], 1}, {engines()[1], 8}})
}

// wayToWork is an engine and a number of workers.
type wayToWork struct {
	engine
	workers int
}

func leaveNoTrace(t *testing.T, ways []wayToWork) {
	t.Helper()
	program, corpus := build(t), t.TempDir()
	if err := writeCorpus(corpus); err != nil {
		t.Fatal(err)
	}

	var want outcome
	for _, way := range ways {
		t.Run(fmt.Sprintf("%s, %d workers", way.name, way.workers), func(t *testing.T) {
			i := install(t, program, way.engine)
			i.run(t, "prepare", corpus, "--shard-size", "2MiB", "--workers", fmt.Sprint(way.workers))

			got := i.outcome(t)
			if want.root == "" {
				want = got
			}
			requireSame(t, got, want)
		})
	}
}
