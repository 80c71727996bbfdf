package main

import (
	"context"
	"fmt"
)

// measurePrepare compares guppy with the limit program, on each corpus and engine.
func measurePrepare(ctx context.Context, b *bench, r *report) error {
	for _, c := range b.corpora {
		s := series{corpus: c, runs: make([][]prepared, len(b.running))}
		err := b.withCorpus(ctx, c, func(dir string, written contents) error {
			s.contents = written
			return b.warmed(c.name, func() error { return b.round(ctx, dir, &s) }, s.forget)
		})
		if err != nil {
			return err
		}
		r.Corpora = append(r.Corpora, s.report(b.running))
	}
	return nil
}

// round runs every program once.
func (b *bench) round(ctx context.Context, source string, s *series) error {
	took, err := b.limit(ctx, source)
	if err != nil {
		return err
	}
	s.limits = append(s.limits, took)
	b.say("  limit     %.3f s", took.Seconds())

	for i, e := range b.running {
		if err := b.prepare(ctx, source, e, s, i); err != nil {
			return err
		}
	}
	return nil
}

// prepare runs guppy once, as the i-th program of a series.
func (b *bench) prepare(ctx context.Context, source string, e running, s *series, i int) error {
	run, err := b.guppy.prepare(ctx, e, source)
	if err == nil {
		err = s.add(i, run)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	b.say("  %-8s  %.3f s, %d MiB", e.name, run.wall.Seconds(), run.memory>>20)
	return nil
}
