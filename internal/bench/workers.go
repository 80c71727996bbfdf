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
	scaling := func(engine string, took []times) []line { return x.scaling(engine, took) }
	if err := x.compare(ctx, b, r, x.many, x.variants(), scaling); err != nil {
		return err
	}
	ahead := jobs{number: 1, workers: 1, readAhead: defaultReadAhead(), shardSize: config.DefaultShardSize}
	late := ahead
	late.latency = x.latency
	variants := []variant{{"1 worker", ahead}, {fmt.Sprintf("1 worker, %s late", x.latency), late}}
	return x.compare(ctx, b, r, x.near, variants, func(engine string, took []times) []line {
		lines := x.lines(x.near, engine, variants, took)
		lines[1].Checks = []check{within("time late / local", "", took[1].Median/took[0].Median, lateTarget)}
		return lines
	})
}
