package main

import (
	"slices"
	"time"
)

// series has all runs on one corpus.
type series struct {
	corpus   corpus
	contents contents
	limits   []time.Duration
	// runs has the runs of each engine.
	runs  [][]prepared
	first *preparation
}

// add adds a run of the i-th engine. It returns errWrong if the result does not match the corpus, or differs from
// earlier runs.
func (s *series) add(i int, run prepared) error {
	if err := run.check(s.contents); err != nil {
		return err
	}
	if s.first == nil {
		s.first = &run.preparation
	}
	s.runs[i] = append(s.runs[i], run)
	return run.same(*s.first)
}

// forget drops the measurements and keeps the results of the runs.
func (s *series) forget() {
	s.limits, s.runs = nil, make([][]prepared, len(s.runs))
}

// walls returns the times of the i-th engine's runs.
func (s *series) walls(i int) (walls []time.Duration) {
	for _, run := range s.runs[i] {
		walls = append(walls, run.wall)
	}
	return walls
}

func (s *series) report(engines []running) corpusReport {
	r := corpusReport{
		Name: s.corpus.name, Files: s.contents.Files, Bytes: s.contents.Bytes, Limit: newTimes(s.limits),
		RootCID: s.first.RootCID, Shards: len(s.first.Shards), Entries: s.first.entries(), Nodes: s.first.Nodes,
	}
	for i, e := range engines {
		r.Engines = append(r.Engines, s.engineReport(e, i, r.Limit))
	}
	return r
}

func (s *series) engineReport(e running, i int, limit times) engineReport {
	var memory, sizes []int64
	for _, run := range s.runs[i] {
		memory = append(memory, run.memory)
		sizes = append(sizes, run.database-e.empty)
	}

	r := engineReport{
		Engine: e.name, Times: newTimes(s.walls(i)), PeakMemory: slices.Max(memory), Database: slices.Max(sizes),
		Empty: e.empty,
	}

	perUnit := float64(r.Database) / float64(s.corpus.count(*s.first))
	target := s.corpus.targets[e.name]
	r.Checks = []check{
		within("wall time / limit's", "", r.Times.Median/limit.Median, target.ratio),
		under("peak memory", "MiB", float64(r.PeakMemory)/(1<<20), memoryTarget),
		under("database per "+s.corpus.unit, "B", perUnit, target.database),
	}
	return r
}
