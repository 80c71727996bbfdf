package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// syncTarget is the least speed of filling a replica, as a fraction of the speed of cp -r of the same shards.
	syncTarget = 0.9
	// provedTarget limits the time of filling a replica, as a multiple of the time of cp -r and of hashing the shards
	// once: what a replica has was compared with its digest.
	provedTarget = 1
)

// syncing are the times of filling new replicas, each after the times of its baselines.
type syncing struct {
	bench   *bench
	dataDir string
	environ []string

	copied, hashed, synced []time.Duration
}

// measureSync compares guppy store sync into an empty directory with cp -r of the shards, on the first of the engines:
// the bytes of shards do not pass through it.
func measureSync(ctx context.Context, b *bench, r *report) error {
	on := b.running[0]
	for _, c := range b.corpora {
		err := b.withCorpus(ctx, c, func(source string, _ contents) error {
			return b.withPrepared(ctx, on, source, func(dir string, environ []string, _ preparation) error {
				x := &syncing{bench: b, dataDir: dir, environ: environ}
				err := b.warmed("sync "+c.name, func() error { return x.round(ctx) }, x.forget)
				if err == nil {
					r.Further = append(r.Further, x.lines(c.name, on.name)...)
				}
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// withPrepared prepares a source into a new database, and calls use with the data directory, the environment of the
// programs that read it, and the result.
func (b *bench) withPrepared(ctx context.Context, on running, source string,
	use func(dir string, environ []string, done preparation) error) error {
	_, err := b.guppy.withDatabase(ctx, on, func(dir string, environ []string) error {
		_, output, err := execute(ctx, environ, b.guppy.program, "prepare", source, "--data-dir", dir, "--json")
		if err != nil {
			return err
		}

		var done preparation
		if err := json.Unmarshal(output, &done); err != nil {
			return fmt.Errorf("%w: %w", errWrong, err)
		}
		return use(dir, environ, done)
	})
	return err
}

func (x *syncing) forget() { x.copied, x.hashed, x.synced = nil, nil, nil }

// round copies the shards once with each program. Each copy is removed before the next begins.
func (x *syncing) round(ctx context.Context) (err error) {
	dir, err := x.bench.workspace.fresh("sync")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.bench.workspace.done(dir)) }()
	shards, replica := filepath.Join(x.dataDir, "shards"), filepath.Join(dir, "replica")

	took, _, err := execute(ctx, x.environ, "cp", "-r", shards, filepath.Join(dir, "copy"))
	if err != nil {
		return err
	}
	x.copied = append(x.copied, took.wall)
	if took, _, err = execute(ctx, x.environ, x.bench.self, hashCommand, filepath.Join(dir, "copy")); err != nil {
		return err
	}
	x.hashed = append(x.hashed, took.wall)
	if err := os.RemoveAll(filepath.Join(dir, "copy")); err != nil {
		return err
	}

	if _, err := x.store(ctx, "add", "replica", replica); err != nil {
		return err
	}
	took, err = x.store(ctx, "sync", "shards", "replica")
	if err != nil {
		return err
	}
	x.synced = append(x.synced, took.wall)

	// The next replica has the same name.
	if err := os.RemoveAll(replica); err != nil {
		return err
	}
	_, err = x.store(ctx, "rm", "replica", "--lost")
	return err
}

// store runs a command of guppy store.
func (x *syncing) store(ctx context.Context, args ...string) (cost, error) {
	args = append([]string{"store", "--data-dir", x.dataDir}, args...)
	took, _, err := execute(ctx, x.environ, x.bench.guppy.program, args...)
	return took, err
}

func (x *syncing) lines(corpus, engine string) []line {
	copied, hashed, synced := newTimes(x.copied), newTimes(x.hashed), newTimes(x.synced)
	return []line{
		{Corpus: corpus, Engine: engine, Program: "cp -r of the shards", Times: copied},
		{Corpus: corpus, Engine: engine, Program: "SHA-256 of the shards", Times: hashed},
		{Corpus: corpus, Engine: engine, Program: "store sync", Times: synced, Checks: []check{
			atLeast("speed of sync / cp", "", copied.Median/synced.Median, syncTarget),
			within("sync / cp and SHA-256", "", synced.Median/(copied.Median+hashed.Median), provedTarget),
		}},
	}
}
