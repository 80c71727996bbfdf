package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The most time that reading may take, as a multiple of what it is compared with.
const (
	retrieveTarget = 1.5 // of cp -r of the source
	verifyTarget   = 1.3 // of hashing the shards once
	exportTarget   = 1.5 // of cp -r of the shards
)

// hashCommand makes this program hash all files below a directory, one after the other, and nothing else.
const hashCommand = "hash"

func runHash(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%w: bench %s DIRECTORY", errUsage, hashCommand)
	}

	buffer := make([]byte, limitBuffer)
	return filepath.WalkDir(args[0], func(path string, entry fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil || entry.IsDir() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}

		// Only Read and Write are left: other methods would move the bytes in another way.
		_, err = io.CopyBuffer(struct{ io.Writer }{sha256.New()}, struct{ io.Reader }{file}, buffer)
		return errors.Join(err, file.Close())
	})
}

// readings are the times of commands that read a prepared corpus, each after the time of its baseline.
type readings struct {
	bench   *bench
	on      running
	source  string
	dataDir string
	environ []string
	root    string

	copied, retrieved, hashed, verified, copiedShards, exported []time.Duration
}

// measureRetrieve compares reading with its baselines, on each corpus and engine.
func measureRetrieve(ctx context.Context, b *bench, r *report) error {
	for _, c := range b.corpora {
		err := b.withCorpus(ctx, c, func(dir string, _ contents) error {
			for _, on := range b.running {
				lines, err := b.retrieve(ctx, c, on, dir)
				if err != nil {
					return fmt.Errorf("%s: %w", on.name, err)
				}
				r.Further = append(r.Further, lines...)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// retrieve prepares a corpus once and reads it repeatedly.
func (b *bench) retrieve(ctx context.Context, c corpus, on running, source string) (lines []line, err error) {
	err = b.withPrepared(ctx, on, source, func(dir string, environ []string, done preparation) error {
		x := &readings{bench: b, on: on, source: source, dataDir: dir, environ: environ, root: done.RootCID}
		name := fmt.Sprintf("retrieve %s, %s", c.name, on.name)
		err = b.warmed(name, func() error { return x.round(ctx) }, x.forget)
		lines = x.lines(c.name)
		return err
	})
	return lines, err
}

func (x *readings) forget() {
	x.copied, x.retrieved, x.hashed, x.verified, x.copiedShards, x.exported = nil, nil, nil, nil, nil, nil
}

func (x *readings) round(ctx context.Context) error {
	shards := filepath.Join(x.dataDir, "shards")
	guppy := func(args ...string) []string {
		return append([]string{x.bench.guppy.program, "--data-dir", x.dataDir}, args...)
	}
	return errors.Join(
		x.timed(ctx, &x.copied, func(out string) []string { return []string{"cp", "-r", x.source, out} }),
		x.timed(ctx, &x.retrieved, func(out string) []string { return guppy("retrieve", x.root, out) }),
		x.timed(ctx, &x.hashed, func(string) []string { return []string{x.bench.self, hashCommand, shards} }),
		x.timed(ctx, &x.verified, func(string) []string { return guppy("verify", "--deep", x.root) }),
		x.timed(ctx, &x.copiedShards, func(out string) []string { return []string{"cp", "-r", shards, out} }),
		x.timed(ctx, &x.exported, func(out string) []string { return guppy("export", x.root, "-o", out) }))
}

// timed runs a command that may write to a path below a fresh directory, and then removes the directory.
func (x *readings) timed(ctx context.Context, walls *[]time.Duration, command func(out string) []string) error {
	dir, err := x.bench.workspace.fresh("read")
	if err != nil {
		return err
	}
	args := command(filepath.Join(dir, "out"))
	took, _, err := execute(ctx, x.environ, args[0], args[1:]...)
	*walls = append(*walls, took.wall)
	return errors.Join(err, x.bench.workspace.done(dir))
}

func (x *readings) lines(corpus string) []line {
	if len(x.exported) == 0 {
		return nil
	}

	var lines []line
	for _, pair := range []struct {
		baseline, what  string
		baselines, took []time.Duration
		target          float64
	}{
		{"cp -r of the source", "retrieve", x.copied, x.retrieved, retrieveTarget},
		{"SHA-256 of the shards", "verify --deep", x.hashed, x.verified, verifyTarget},
		{"cp -r of the shards", "export", x.copiedShards, x.exported, exportTarget},
	} {
		base, took := newTimes(pair.baselines), newTimes(pair.took)
		lines = append(lines, line{Corpus: corpus, Engine: x.on.name, Program: pair.baseline, Times: base},
			line{Corpus: corpus, Engine: x.on.name, Program: pair.what, Times: took, Checks: []check{
				within(pair.what+" / "+pair.baseline, "", took.Median/base.Median, pair.target),
			}})
	}
	return lines
}
