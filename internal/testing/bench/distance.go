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

// distances measures guppy with a database and an S3 store that are far away.
type distances struct {
	// away has the round trips to measure, from the shortest.
	away    []time.Duration
	workers []int
	// rounds is the most rounds to run, since waiting takes long and varies little.
	rounds int
}

// parseDistances parses round trips and numbers of workers, with commas between them.
func parseDistances(away, workers string) (d distances, err error) {
	d.rounds = 2
	for text := range strings.SplitSeq(away, ",") {
		trip, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || trip <= 0 {
			return d, fmt.Errorf("%w: -away has %q, not a time like 20ms", errUsage, text)
		}
		d.away = append(d.away, trip)
	}
	for text := range strings.SplitSeq(workers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return d, fmt.Errorf("%w: -workers has %q, not a positive number", errUsage, text)
		}
		d.workers = append(d.workers, n)
	}
	return d, nil
}

// room is for the corpus, its shards as drafts, as parts and as objects.
func (d distances) room() (room int64) {
	for _, c := range corpora() {
		room = max(room, c.room)
	}
	return 4 * room
}

// site is one arrangement: how long a round trip takes to the database and to the store.
type site struct {
	database, store time.Duration
	workers         int
}

func (s site) String() string {
	text := fmt.Sprintf("%d workers", s.workers)
	if s.workers == 1 {
		text = "1 worker"
	}
	switch {
	case s.database > 0 && s.store > 0:
		return fmt.Sprintf("both %s, %s", s.store, text)
	case s.database > 0:
		return fmt.Sprintf("database %s, %s", s.database, text)
	case s.store > 0:
		return fmt.Sprintf("store %s, %s", s.store, text)
	}
	return "near, " + text
}

// trip returns the longer one of the round trips.
func (s site) trip() time.Duration { return max(s.database, s.store) }

// sites returns all arrangements. Those with as many workers are in a row, the one without latency before others.
func (d distances) sites() (all []site) {
	for _, n := range d.workers {
		all = append(all, site{workers: n})
		for _, away := range d.away {
			all = append(all, site{away, 0, n}, site{0, away, n}, site{away, away, n})
		}
	}
	return all
}

// stay is what one run cost at a site.
type stay struct {
	cost
	database, store traffic
}

// measure compares on all engines that are servers.
func (d distances) measure(ctx context.Context, b *bench, r *report) (err error) {
	dir, err := b.workspace.fresh("s3")
	if err != nil {
		return err
	}
	buckets, err := startBuckets(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, buckets.close(), b.workspace.done(dir)) }()

	for _, on := range b.running {
		plain, ok := on.engine.(server)
		if !ok {
			continue
		}
		for _, c := range b.corpora {
			run := visit{b, running{on.name, near{plain}, on.empty}, buckets, c}
			lines, err := d.compare(ctx, run)
			if err != nil {
				return err
			}
			r.Further = append(r.Further, lines...)
		}
	}
	return nil
}

func (d distances) compare(ctx context.Context, v visit) (lines []line, err error) {
	sites := d.sites()
	stays := make([][]stay, len(sites))
	err = v.bench.withCorpus(ctx, v.corpus, func(dir string, written contents) error {
		s := series{corpus: v.corpus, contents: written, runs: make([][]prepared, len(sites))}
		return v.bench.repeat(v.corpus.name, min(v.bench.rounds, d.rounds), func() error {
			for i, at := range sites {
				cost, run, err := v.run(ctx, dir, at)
				if err == nil {
					err = s.add(i, run)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", at, err)
				}
				stays[i] = append(stays[i], cost)
				v.bench.say("  %.3f s, %s", cost.wall.Seconds(), at)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}

	var base float64
	for i, at := range sites {
		l := line{Corpus: v.corpus.name, Engine: v.on.name, Program: at.String(), Times: newTimes(walls(stays[i]))}
		if at.trip() == 0 {
			base = l.Times.Median
		}
		l.Counts = counts(at, stays[i], l.Times.Median, base)
		lines = append(lines, l)
	}
	return lines, nil
}

func walls(stays []stay) (walls []time.Duration) {
	for _, s := range stays {
		walls = append(walls, s.wall)
	}
	return walls
}

// counts compares the runs at a site with the time of the site without latency. Of counts that differ, the largest is
// shown.
func counts(at site, stays []stay, median, base float64) []count {
	var requests, puts, turns, connections, cpu float64
	for _, s := range stays {
		turns = max(turns, float64(s.database.turns))
		requests = max(requests, float64(s.store.turns))
		puts = max(puts, float64(s.store.requests["PUT"]))
		connections = max(connections, float64(s.store.connections))
		cpu = max(cpu, s.cpu.Seconds())
	}

	waits := 0.0
	if trip := at.trip(); trip > 0 {
		waits = (median - base) / trip.Seconds()
	}
	return []count{{"ratio", median / base}, {"waits", waits}, {"database", turns}, {"PUT", puts}, {"S3", requests},
		{"S3 connections", connections}, {"CPU s", cpu}}
}

// visit is what all runs on a corpus have in common.
type visit struct {
	bench   *bench
	on      running
	buckets *bucketServer
	corpus  corpus
}

// run prepares the corpus once, in a new database and an empty bucket.
func (v visit) run(ctx context.Context, source string, at site) (cost stay, run prepared, err error) {
	if err := v.buckets.empty(ctx); err != nil {
		return cost, run, err
	}

	address, err := v.on.engine.(near).address()
	if err != nil {
		return cost, run, err
	}
	database, err := newProxy(ctx, address, at.database/2)
	if err != nil {
		return cost, run, err
	}
	defer func() { err = errors.Join(err, database.close()) }()
	store, err := newProxy(ctx, v.buckets.at, at.store/2)
	if err != nil {
		return cost, run, err
	}
	defer func() { err = errors.Join(err, store.close()) }()

	// The size of the database is read through the proxy too, so everything is counted before that.
	there := v.on
	there.engine = far{v.on.engine.(near), database}
	program := *v.bench.guppy
	program.environ = append(slices.Clone(program.environ), v.buckets.environ()...)
	run, err = program.prepare(ctx, there, source, "--store", storeURL(store.address()),
		"--workers", strconv.Itoa(at.workers))
	cost = stay{run.cost, database.traffic(), store.traffic()}
	return cost, run, err
}
