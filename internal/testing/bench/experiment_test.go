package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// tinyExperiments returns all experiments, with little to do.
func tinyExperiments() []experiment {
	w := newWorkers()
	w.latency, w.near, w.many = time.Millisecond, tiny(), tiny()
	w.many.files = manySmall(2, 20, 8<<10)
	return []experiment{
		{"roundtrip", 0, roundTrips{5 * time.Millisecond}.measure},
		{"workers", 0, w.measure},
		{"transfer", 0, transfers{nodes: 500, shardNodes: 100}.measure},
		{"pieces", 0, measurePieces},
		{"retrieve", 0, measureRetrieve},
		{"sync", 0, measureSync},
		{"replica", 0, measureReplica},
		{"lookup", 0, lookups{nodes: 1000, shardNodes: 100, digests: 50}.measure},
		{"scale", 0, scales{sizes: []int{leastEntries, 2 * leastEntries}}.measure},
		{"rescan", 0, rescans{[]int{2 * inDirectory, 4 * inDirectory}}.measure},
		{"snapshots", 0, snapshotSeries{entries: 2 * inDirectory, runs: 4, kept: 2, changedEvery: 100, fileSize: 1 << 10,
			shardSize: 1 << 18}.measure},
	}
}

func TestFarAwayTakesLonger(t *testing.T) {
	near, away := times{Median: 2}, times{Median: 3.5}
	for i, want := range []string{"small over 1.50 s ≤ 1.00 s", "big over 1.75 ≤ 1.25"} {
		lines := newRoundTrips().lines(corpora()[i], "e", near, away)
		if got := verdict(lines[1]); got != want || len(lines[0].Checks) != 0 {
			t.Errorf("have %q, want %q", got, want)
		}
	}
}

func TestSpeedupsAreOfFourWorkers(t *testing.T) {
	var lines []line
	for i, seconds := range []float64{7, 4, 2, 2.5} {
		lines = append(lines, line{Corpus: "c", Program: newWorkers().variants()[i].program, Times: times{Median: seconds}})
	}

	var got []string
	for _, l := range newWorkers().speedups(lines) {
		got = append(got, verdict(l))
	}

	if want := []string{"", "", "c ok 3.50 ≥ 3.50", "c over 2.80 ≥ 3.50"}; !slices.Equal(got, want) {
		t.Errorf("have %q, want %q", got, want)
	}
}

// verdict returns the only check of a line, if the line has one.
func verdict(l line) string {
	if len(l.Checks) != 1 {
		return ""
	}
	k := l.Checks[0]
	word := map[bool]string{true: "ok", false: "over"}[k.OK]
	return strings.Join([]string{l.Corpus, word, k.number(k.Value), k.bound()}, " ")
}

func TestUsualExperimentsExist(t *testing.T) {
	var names []string
	for _, e := range experiments(scales{}, distances{}, "") {
		names = append(names, e.name)
	}
	if got := strings.Join(names, ","); got != usual+",distance,lookup,scale,rescan,snapshots" {
		t.Errorf("experiments %s", got)
	}
}
