package main

import (
	"context"
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// variant is one way to prepare a source.
type variant struct {
	program string
	jobs
}

// race lets variants take turns on the same source and engine.
type race struct {
	bench    *bench
	on       running
	source   string
	variants []variant
	// walls has the times of each variant.
	walls [][]time.Duration
	root  string
}

func newRace(b *bench, on running, source string, variants []variant) *race {
	return &race{bench: b, on: on, source: source, variants: variants, walls: make([][]time.Duration, len(variants))}
}

// turn runs every variant once. It returns errWrong if their roots differ.
func (r *race) turn(ctx context.Context) error {
	for i, v := range r.variants {
		err := r.bench.workspace.withDatabase(ctx, r.on, func(dir string, url dialect.Secret) error {
			wall, root, err := v.run(ctx, url, dir, r.source)
			if err == nil && r.root != "" && r.root != root {
				err = fmt.Errorf("%w: root %s here, %s in the first run", errWrong, root, r.root)
			}
			r.root, r.walls[i] = root, append(r.walls[i], wall)
			r.bench.say("  %-8s  %.3f s, %s", r.on.name, wall.Seconds(), v.program)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s, %s: %w", r.on.name, v.program, err)
		}
	}
	return nil
}

// forget drops the times and keeps the root.
func (r *race) forget() { clear(r.walls) }

func (r *race) lines(corpus string) (lines []line) {
	for i, v := range r.variants {
		lines = append(lines, line{Corpus: corpus, Engine: r.on.name, Program: v.program, Times: newTimes(r.walls[i])})
	}
	return lines
}
