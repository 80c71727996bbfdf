package main

import (
	"runtime"
	"slices"
)

// memoryTarget limits the peak memory on every corpus, in MiB.
const memoryTarget = 200

// report is everything that was measured.
type report struct {
	Go      string         `json:"go"`
	System  string         `json:"system"`
	CPUs    int            `json:"cpus"`
	Tmpfs   bool           `json:"tmpfs"`
	Corpora []corpusReport `json:"corpora"`
	Further []line         `json:"further"`
}

// line is what an experiment measured of one program.
type line struct {
	Corpus  string  `json:"corpus"`
	Engine  string  `json:"engine"`
	Program string  `json:"program"`
	Times   times   `json:"times"`
	Checks  []check `json:"checks"`
	// Counts are what was counted of a run, in the order to show.
	Counts []count `json:"counts,omitempty"`
}

// count is something counted, such as requests.
type count struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
}

func newReport(w *workspace) *report {
	return &report{
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Tmpfs: w.tmpfs,
	}
}

type corpusReport struct {
	Name    string         `json:"name"`
	Files   int64          `json:"files"`
	Bytes   int64          `json:"bytes"`
	Entries int64          `json:"entries"`
	Nodes   int64          `json:"nodes"`
	Shards  int            `json:"shards"`
	RootCID string         `json:"root_cid"`
	Limit   times          `json:"limit"`
	Engines []engineReport `json:"engines"`
}

type engineReport struct {
	Engine string `json:"engine"`
	Times  times  `json:"times"`
	// PeakMemory is the highest of all runs, in bytes; Database is the largest size, less that of an empty one.
	PeakMemory int64   `json:"peak_memory"`
	Database   int64   `json:"database"`
	Empty      int64   `json:"empty_database"`
	Checks     []check `json:"checks"`
}

// times are in seconds.
type times struct {
	All    []float64 `json:"all"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
}

// newTimes converts durations to seconds.
func newTimes[D ~int64](durations []D) times {
	var t times
	for _, d := range durations {
		t.All = append(t.All, float64(d)/1e9)
	}
	t.Min, t.Median = slices.Min(t.All), median(t.All)
	return t
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// check compares a value with its target, as its relation says.
type check struct {
	What     string  `json:"what"`
	Unit     string  `json:"unit,omitempty"`
	Value    float64 `json:"value"`
	Relation string  `json:"relation"`
	Target   float64 `json:"target"`
	OK       bool    `json:"ok"`
}

func within(what, unit string, value, target float64) check {
	return check{what, unit, value, "≤", target, value <= target}
}

func under(what, unit string, value, target float64) check {
	return check{what, unit, value, "<", target, value < target}
}

func atLeast(what, unit string, value, target float64) check {
	return check{what, unit, value, "≥", target, value >= target}
}
