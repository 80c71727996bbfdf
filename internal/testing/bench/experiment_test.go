package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
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
		{"lookup", 0, lookups{nodes: 1000, shardNodes: 100, digests: 50}.measure},
	}
}

// TestExperimentsMeasureAllThatTheyNameChecksFor runs the experiments on all engines. Wrong results would be
// errors.
func TestExperimentsMeasureAllThatTheyNameChecksFor(t *testing.T) {
	o, err := parseOptions([]string{"-rounds", "1", "-dir", os.TempDir()}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	o.corpora, o.experiments = []corpus{tiny()}, tinyExperiments()

	var progress bytes.Buffer
	r, err := measureAll(t.Context(), o, &progress)
	if err != nil {
		t.Fatal(err)
	}

	checks := map[string]int{}
	for _, l := range r.Further {
		if l.Times.Min <= 0 || l.Program == "" || l.Engine == "" {
			t.Errorf("line %+v", l)
		}
		checks[l.Corpus] += len(l.Checks)
	}

	// Round trips have the one engine that is a server, and piece CIDs are computed on one engine. Every other check
	// is made on both engines.
	if want := map[string]int{"small": 1 + 1 + 2 + 2*2 + 2*3, "1000 nodes": 2 * 6, "500 nodes": 2 * 2}; !maps.Equal(checks,
		want) {
		t.Errorf("checks %v, want %v", checks, want)
	}

	expectGone(t, progress.String())
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
	for _, e := range experiments() {
		names = append(names, e.name)
	}
	if got := fmt.Sprint(names); got != "[prepare roundtrip workers transfer pieces retrieve lookup]" {
		t.Errorf("experiments %s", got)
	}
}
