package main

import (
	"context"
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/internal/config"
)

// workers measures the effect of more workers, and of reading ahead, for a source that answers late.
type workers struct {
	latency time.Duration
	// many has many small shards, each of which is read file by file.
	many      corpus
	shardSize int64
	// near is prepared without and with latency, with full read-ahead.
	near corpus
	// rounds is the most rounds to run, since waiting takes long and varies little.
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

func (x workers) variants() []variant {
	variantOf := func(program string, number, workers int) variant {
		return variant{program, jobs{number, workers, 1, x.shardSize, x.latency}}
	}
	return []variant{variantOf("1 worker", 1, 1), variantOf("2 workers", 1, 2), variantOf("4 workers", 1, 4),
		variantOf("4 jobs of 1 worker", 4, 1)}
}

func (x workers) measure(ctx context.Context, b *bench, r *report) error {
	if err := x.scaling(ctx, b, r); err != nil {
		return err
	}
	return x.readingAhead(ctx, b, r)
}

// scaling packs many shards side by side.
func (x workers) scaling(ctx context.Context, b *bench, r *report) error {
	return b.withCorpus(ctx, x.many, func(dir string, _ contents) error {
		for _, on := range b.running {
			runners := newRace(b, on, dir, x.variants())
			if err := b.repeat(x.many.name, min(b.rounds, x.rounds), func() error { return runners.turn(ctx) }); err != nil {
				return err
			}
			r.Further = append(r.Further, x.speedups(runners.lines(x.many.name))...)
		}
		return nil
	})
}

// speedups compares everything that works four at a time with one worker.
func (x workers) speedups(lines []line) []line {
	one := lines[0].Times.Median
	for i, v := range x.variants() {
		if v.number*v.workers == 4 {
			what := fmt.Sprintf("time of %s / %s", lines[0].Program, v.program)
			lines[i].Checks = []check{atLeast(what, "", one/lines[i].Times.Median, speedupTarget)}
		}
	}
	return lines
}

// readingAhead packs one shard with one worker.
func (x workers) readingAhead(ctx context.Context, b *bench, r *report) error {
	settings, err := config.Load(config.Input{HomeDir: b.workspace.dir})
	if err != nil {
		return err
	}

	// Both variants read ahead as guppy does by default.
	local := jobs{number: 1, workers: 1, readAhead: settings.Prepare.ReadAhead, shardSize: settings.Prepare.ShardSize}
	late := local
	late.latency = x.latency
	variants := []variant{{"1 worker, local", local}, {fmt.Sprintf("1 worker, %s late", x.latency), late}}

	return b.withCorpus(ctx, x.near, func(dir string, _ contents) error {
		for _, on := range b.running {
			runners := newRace(b, on, dir, variants)
			err := b.warmed(x.near.name, func() error { return runners.turn(ctx) }, runners.forget)
			if err != nil {
				return err
			}

			lines := runners.lines(x.near.name)
			lines[1].Checks = []check{within("time of 1 worker, late / local", "",
				lines[1].Times.Median/lines[0].Times.Median, lateTarget)}
			r.Further = append(r.Further, lines...)
		}
		return nil
	})
}
