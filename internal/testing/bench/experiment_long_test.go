//go:build long

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"testing"
)

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

	// Round trips have the one engine that is a server, and piece CIDs and replicas are made on one engine. Every other
	// check is made on both engines.
	// A rescan is compared with the smaller source; snapshots have two checks.
	want := map[string]int{
		fmt.Sprint(2*inDirectory, " entries"): 2 * 2, fmt.Sprint(4*inDirectory, " entries"): 2,
		"small": 1 + 1 + 1 + 2 + 2 + 2*2 + 2*3, "1000 nodes": 2 * 6, "500 nodes": 2 * 2,
		fmt.Sprint(leastEntries, " entries"): 0, fmt.Sprint(2*leastEntries, " entries"): 2 * len(scaleQueries())}
	if !maps.Equal(checks, want) {
		t.Errorf("checks %v, want %v", checks, want)
	}

	expectGone(t, progress.String())
}

func TestMeasureAllEngines(t *testing.T) {
	o, err := parseOptions([]string{"-only", "prepare", "-json", "-rounds", "2", "-dir", os.TempDir()}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	o.corpora = []corpus{tiny()}

	var progress, output bytes.Buffer
	result, err := measureAll(t.Context(), o, &progress)
	if err != nil {
		t.Fatal(err)
	}

	if err := o.format(&output, result); err != nil {
		t.Fatal(err)
	}

	var r report
	if err := json.Unmarshal(output.Bytes(), &r); err != nil {
		t.Fatal(err)
	}

	c := r.Corpora[0]
	if c.Files != 400 || c.Entries < 402 || c.RootCID == "" || c.Shards < 1 || len(c.Limit.All) != 2 {
		t.Errorf("corpus %+v", c)
	}

	if len(c.Engines) != len(starters()) {
		t.Fatalf("%d engines", len(c.Engines))
	}

	for _, e := range c.Engines {
		if len(e.Times.All) != 2 || e.Times.Min <= 0 || e.PeakMemory < 5<<20 || e.Database <= 0 || e.Empty <= 0 {
			t.Errorf("engine %+v", e)
		}
	}

	expectGone(t, progress.String())
}
