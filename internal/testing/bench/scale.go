package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scales measures how long the queries that every run makes take in repositories of several sizes.
type scales struct {
	sizes []int
	// filled, if not "", is the directory in which repositories are kept and found again.
	filled string
	// cold makes each query begin with nothing in memory.
	cold bool
	// only, if not "", is what the names of the queries have that are measured.
	only string
}

const (
	// scaleTarget is how many times as long a query may take in the largest repository as in the smallest.
	scaleTarget = 2
	// entryRoom is the most space that an entry takes with its nodes on any engine, including logs.
	entryRoom = 3000
)

// room returns the space for all repositories. Where they are kept, each is given room when it is filled.
func (x scales) room() (room int64) {
	if x.filled != "" {
		return 0
	}
	for _, size := range x.sizes {
		room += roomOf(size)
	}
	return room
}

func roomOf(entries int) int64 { return int64(entries) * entryRoom }

// parseSizes parses numbers of entries with commas between them.
func parseSizes(list string) (sizes []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		size, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || size < leastEntries {
			return nil, fmt.Errorf("%w: -entries has %q, not a number of at least %d", errUsage, text, leastEntries)
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

func (x scales) measure(ctx context.Context, b *bench, r *report) error {
	return b.onEach(r, func(on starter) ([]line, error) { return x.measureOn(ctx, b, on) })
}

// measureOn has all repositories side by side, so that a busy machine slows the same query in all of them.
func (x scales) measureOn(ctx context.Context, b *bench, on starter) (lines []line, err error) {
	var all []*scaled
	defer func() {
		for _, s := range all {
			err = errors.Join(err, s.close())
		}
	}()
	for _, size := range x.sizes {
		s, err := x.open(ctx, b, on, size)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}

	queries := slices.DeleteFunc(scaleQueries(), func(q scaleQuery) bool { return !strings.Contains(q.name, x.only) })
	for _, s := range all {
		s.times = make([][]time.Duration, len(queries))
	}
	err = b.warmed("scale, "+on.name, func() error {
		for i, query := range queries {
			for _, s := range all {
				if x.cold {
					if err := s.cool(ctx); err != nil {
						return err
					}
				}
				took, err := query.run(s.generated, ctx)
				if err != nil {
					return fmt.Errorf("%s: %w", query.name, err)
				}
				s.times[i] = append(s.times[i], took)
			}
		}
		return nil
	}, func() {
		for _, s := range all {
			s.times = make([][]time.Duration, len(queries))
		}
	})
	if err != nil {
		return nil, err
	}
	return scaleLines(on.name, queries, all), nil
}

func scaleLines(engine string, queries []scaleQuery, all []*scaled) (lines []line) {
	for i, query := range queries {
		for at, s := range all {
			l := line{Corpus: fmt.Sprintf("%d entries", s.Entries), Engine: engine, Program: query.name,
				Times: newTimes(s.times[i])}
			if at == len(all)-1 && at > 0 {
				ratio := l.Times.Median / newTimes(all[0].times[i]).Median
				l.Checks = []check{within(fmt.Sprintf("%s / with %d entries", query.name, all[0].Entries), "", ratio, scaleTarget)}
			}
			lines = append(lines, l)
		}
	}
	return lines
}
