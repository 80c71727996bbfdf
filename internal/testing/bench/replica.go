package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"
)

// replicaTarget limits the time of preparing into a store and its replica, as a multiple of the time of preparing and
// then copying the shards with cp -r.
const replicaTarget = 1

// replicating are the times of runs that leave everything in two places.
type replicating struct {
	bench  *bench
	on     running
	source string

	apart, together []time.Duration
}

// measureReplica compares guppy prepare --replica with guppy prepare and then cp -r of the shards, on the first of the
// engines.
func measureReplica(ctx context.Context, b *bench, r *report) error {
	on := b.running[0]
	for _, c := range b.corpora {
		err := b.withCorpus(ctx, c, func(source string, _ contents) error {
			x := &replicating{bench: b, on: on, source: source}
			err := b.warmed("replica "+c.name, func() error {
				return errors.Join(x.prepareAndCopy(ctx), x.prepareTwice(ctx))
			}, func() { x.apart, x.together = nil, nil })
			if err == nil {
				r.Further = append(r.Further, x.lines(c.name)...)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// prepareAndCopy prepares the source, and then copies the shards.
func (x *replicating) prepareAndCopy(ctx context.Context) error {
	_, err := x.bench.guppy.withDatabase(ctx, x.on, func(dir string, environ []string) error {
		// The other run has its tables, too.
		_, _, err := execute(ctx, environ, x.bench.guppy.program, "migrate", "up", "--data-dir", dir)
		if err != nil {
			return err
		}
		prepared, _, err := execute(ctx, environ, x.bench.guppy.program, "prepare", x.source, "--data-dir", dir)
		if err != nil {
			return err
		}
		copied, _, err := execute(ctx, environ, "cp", "-r", filepath.Join(dir, "shards"), filepath.Join(dir, "replica"))
		x.apart = append(x.apart, prepared.wall+copied.wall)
		return err
	})
	return err
}

// prepareTwice prepares the source into a store and a replica of it.
func (x *replicating) prepareTwice(ctx context.Context) error {
	_, err := x.bench.guppy.withDatabase(ctx, x.on, func(dir string, environ []string) error {
		guppy := func(args ...string) (cost, error) {
			took, _, err := execute(ctx, environ, x.bench.guppy.program, append(args, "--data-dir", dir)...)
			return took, err
		}
		if _, err := guppy("migrate", "up"); err != nil {
			return err
		}
		if _, err := guppy("store", "add", "replica", filepath.Join(dir, "replica")); err != nil {
			return err
		}
		took, err := guppy("prepare", x.source, "--replica", "replica")
		x.together = append(x.together, took.wall)
		return err
	})
	return err
}

func (x *replicating) lines(corpus string) []line {
	apart, together := newTimes(x.apart), newTimes(x.together)
	return []line{
		{Corpus: corpus, Engine: x.on.name, Program: "guppy, then cp -r", Times: apart},
		{Corpus: corpus, Engine: x.on.name, Program: "guppy --replica", Times: together, Checks: []check{
			within("with a replica / then cp -r", "", together.Median/apart.Median, replicaTarget),
		}},
	}
}
