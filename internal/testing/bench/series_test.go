package main

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func good() prepared {
	return prepared{
		preparation: preparation{
			RootCID: "root", State: "complete", Files: 2, Directories: 1, Symlinks: 1, Bytes: 10, Nodes: 8,
			Shards: []shard{{"one"}, {"two"}},
		},
		cost: cost{wall: 3 * time.Second, memory: 64 << 20}, database: 1000,
	}
}

func newSeries(c corpus) *series {
	return &series{corpus: c, contents: contents{Files: 2, Bytes: 10}, runs: make([][]prepared, 2)}
}

func TestSeriesRefusesWrongResults(t *testing.T) {
	tests := map[string]func(*prepared){
		"incomplete":          func(p *prepared) { p.State = "packing" },
		"no root":             func(p *prepared) { p.RootCID = "" },
		"a file is missing":   func(p *prepared) { p.Files-- },
		"bytes are missing":   func(p *prepared) { p.Bytes-- },
		"another root":        func(p *prepared) { p.RootCID = "other" },
		"another shard":       func(p *prepared) { p.Shards = []shard{{"one"}, {"three"}} },
		"a shard is missing":  func(p *prepared) { p.Shards = p.Shards[:1] },
		"shards out of order": func(p *prepared) { slices.Reverse(p.Shards) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSeries(corpus{})
			if err := errors.Join(s.add(0, good()), s.add(1, good())); err != nil {
				t.Fatal(err)
			}

			s.forget()
			bad := good()
			spoil(&bad)
			if err := s.add(1, bad); !errors.Is(err, errWrong) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSeriesReport(t *testing.T) {
	tests := map[string]struct {
		unit   string
		count  func(preparation) int64
		target target
		want   []check
	}{
		"all met": {"entry", preparation.entries, target{1.5, 226}, []check{
			{"wall time / limit's", "", 1.5, "≤", 1.5, true},
			{"peak memory", "MiB", 65, "<", 200, true},
			{"database per entry", "B", 225, "<", 226, true},
		}},
		"over": {"node", func(p preparation) int64 { return p.Nodes }, target{1.4, 112.5}, []check{
			{"wall time / limit's", "", 1.5, "≤", 1.4, false},
			{"peak memory", "MiB", 65, "<", 200, true},
			{"database per node", "B", 112.5, "<", 112.5, false},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSeries(corpus{unit: test.unit, count: test.count, targets: map[string]target{"e": test.target}})
			s.limits = []time.Duration{2 * time.Second, time.Second, 9 * time.Second}
			for _, memory := range []int64{65, 64} {
				run := good()
				run.memory = memory << 20
				if err := s.add(0, run); err != nil {
					t.Fatal(err)
				}
			}

			r := s.report([]running{{name: "e", empty: 100}})
			if got := r.Engines[0]; !slices.Equal(got.Checks, test.want) || got.Database != 900 {
				t.Errorf("have %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestPeakMemoryHasATarget(t *testing.T) {
	s := newSeries(corpus{count: preparation.entries})
	s.limits = []time.Duration{time.Second}
	run := good()
	run.memory = memoryTarget << 20
	if err := s.add(0, run); err != nil {
		t.Fatal(err)
	}
	if s.report([]running{{name: "e"}}).Engines[0].Checks[1].OK {
		t.Error("200 MiB are under 200 MiB")
	}
}

func TestMedian(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 20).Draw(t, "values")
		m := median(values)

		below, above := 0, 0
		for _, v := range values {
			if v < m {
				below++
			}
			if v > m {
				above++
			}
		}

		if below > len(values)/2 || above > len(values)/2 {
			t.Fatalf("median %v: %d below, %d above", m, below, above)
		}
	})

	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median of four is %v", got)
	}
}
