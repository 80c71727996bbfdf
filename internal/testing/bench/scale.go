package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/migrate"
)

// scales measures how long the queries that every run makes take in repositories of several sizes.
type scales struct{ sizes []int }

const (
	// scaleTarget is how many times as long a query may take in the largest repository as in the smallest.
	scaleTarget = 2
	// entryRoom is the most space that an entry takes on any engine, including logs.
	entryRoom = 1500
)

func (x scales) room() (room int64) {
	for _, size := range x.sizes {
		room += int64(size) * (entryRoom + nodesPerEntry*nodeRoom)
	}
	return room
}

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

// scaled is a repository of one size.
type scaled struct {
	*generated
	db    *dialect.DB
	close func() error
	// times has those of each query.
	times [][]time.Duration
}

func (x scales) measure(ctx context.Context, b *bench, r *report) error {
	for _, s := range b.engines {
		lines, err := x.measureOn(ctx, b, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.Further = append(r.Further, lines...)
	}
	return nil
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

	queries := scaleQueries()
	for _, s := range all {
		s.times = make([][]time.Duration, len(queries))
	}
	err = b.warmed("scale, "+on.name, func() error {
		for i, query := range queries {
			for _, s := range all {
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

// open makes a database on an engine of its own, and fills it.
func (x scales) open(ctx context.Context, b *bench, on starter, size int) (*scaled, error) {
	dir, err := b.workspace.fresh(fmt.Sprintf("scale-%s-%d", on.name, size))
	if err != nil {
		return nil, err
	}
	running, err := on.start(ctx, dir)
	if err != nil {
		return nil, err
	}

	s := &scaled{close: func() error { return errors.Join(running.close(), b.workspace.done(dir)) }}
	fail := func(err error) (*scaled, error) { return nil, errors.Join(err, s.close()) }
	url, err := running.create(ctx, dir)
	if err != nil {
		return fail(err)
	}
	if s.db, _, err = migrate.New(dialect.Settings{URL: url}).Open(ctx, true); err != nil {
		return fail(err)
	}
	s.close = func() error { return errors.Join(s.db.Close(), running.close(), b.workspace.done(dir)) }

	began := time.Now()
	s.generated, err = generate(ctx, s.db, size, b.seed)
	if err != nil {
		return fail(err)
	}
	bytes, err := s.db.Size(ctx)
	b.say("scale: %s holds %d entries and %d nodes, %d MiB, after %.0f s", on.name, size, size*nodesPerEntry,
		bytes>>20, time.Since(began).Seconds())
	return s, err
}

func scaleLines(engine string, queries []scaleQuery, all []*scaled) (lines []line) {
	for i, query := range queries {
		for at, s := range all {
			l := line{Corpus: fmt.Sprintf("%d entries", s.entries), Engine: engine, Program: query.name,
				Times: newTimes(s.times[i])}
			if at == len(all)-1 && at > 0 {
				ratio := l.Times.Median / newTimes(all[0].times[i]).Median
				l.Checks = []check{within(fmt.Sprintf("%s / with %d entries", query.name, all[0].entries), "", ratio, scaleTarget)}
			}
			lines = append(lines, l)
		}
	}
	return lines
}
