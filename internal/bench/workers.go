package main

import (
	"context"
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/unixfs"
)

// workers tells what more workers, and reading ahead, do for a source that answers late.
type workers struct {
	latency time.Duration
	// many has many small shards, each of which is read file by file.
	many      corpus
	shardSize int64
	// near is prepared as it is and late, with all reading ahead.
	near corpus
	// rounds is the most that is run, since waiting takes long and varies little.
	rounds int
}

const (
	speedupTarget = 3.5
	lateTarget    = 1.3
)

func newWorkers() workers {
	const directories, files, longest = 12, 100, 8 << 10
	return workers{
		latency: 5 * time.Millisecond, shardSize: 64 << 10, near: corpora()[0], rounds: 3,
		many: corpus{name: "shards", files: manySmall(directories, files, longest), room: directories * files * longest},
	}
}

func (x workers) room() int64 { return max(x.many.room, x.near.room) * spaceFactor }

// variant is one way to prepare a source.
type variant struct {
	program string
	jobs
}

func (x workers) variants() []variant {
	variants := []variant{}
	for _, n := range []int{1, 2, 4} {
		variants = append(variants, variant{fmt.Sprintf("%d workers", n),
			jobs{number: 1, workers: n, readAhead: 1, shardSize: x.shardSize, latency: x.latency}})
	}
	return append(variants, variant{"4 jobs of 1 worker",
		jobs{number: 4, workers: 1, readAhead: 1, shardSize: x.shardSize, latency: x.latency}})
}

func (x workers) measure(ctx context.Context, b *bench, r *report) error {
	if err := x.scaling(ctx, b, r); err != nil {
		return err
	}
	return x.readingAhead(ctx, b, r)
}

func (x workers) scaling(ctx context.Context, b *bench, r *report) error {
	variants := x.variants()
	found, err := b.compare(ctx, x.many, variants, min(b.rounds, x.rounds), false)
	for i := range found {
		one := found[i].times[0].Median
		lines := found[i].lines(x.many.name, variants)
		for k := range lines {
			if variants[k].number*variants[k].workers == 4 {
				what := "time of 1 worker / " + variants[k].program
				lines[k].Checks = []check{atLeast(what, "", one/found[i].times[k].Median, speedupTarget)}
			}
		}
		r.Further = append(r.Further, lines...)
	}
	return err
}

func (x workers) readingAhead(ctx context.Context, b *bench, r *report) error {
	settings, err := config.Load(config.Input{HomeDir: b.workspace.dir})
	if err != nil {
		return err
	}
	local := jobs{number: 1, workers: 1, readAhead: settings.Prepare.ReadAhead, shardSize: settings.Prepare.ShardSize}
	late := local
	late.latency = x.latency
	variants := []variant{{"1 worker", local}, {fmt.Sprintf("1 worker, source %s late", x.latency), late}}
	found, err := b.compare(ctx, x.near, variants, b.rounds, true)
	for _, f := range found {
		lines := f.lines(x.near.name, variants)
		ratio := f.times[1].Median / f.times[0].Median
		lines[1].Checks = []check{within("time of 1 worker, source late / local", "", ratio, lateTarget)}
		r.Further = append(r.Further, lines...)
	}
	return err
}

// found are the times of all variants on an engine.
type found struct {
	engine string
	times  []times
}

func (f found) lines(corpus string, variants []variant) (lines []line) {
	for i, v := range variants {
		lines = append(lines, line{Corpus: corpus, Engine: f.engine, Program: v.program, Times: f.times[i]})
	}
	return lines
}

// compare lets variants take turns on a corpus, on each engine. If warm is set, there is one more round that isn't
// counted.
func (b *bench) compare(ctx context.Context, c corpus, variants []variant, rounds int, warm bool) (all []found, err error) {
	err = b.withCorpus(ctx, c, func(dir string, _ contents) error {
		for _, on := range b.running {
			walls := make([][]time.Duration, len(variants))
			round := func() error { return b.turn(ctx, on, dir, variants, walls) }
			if warm {
				if err := round(); err != nil {
					return err
				}
				clear(walls)
			}
			for range rounds {
				if err := round(); err != nil {
					return err
				}
			}
			all = append(all, newFound(on.name, walls))
		}
		return nil
	})
	return all, err
}
