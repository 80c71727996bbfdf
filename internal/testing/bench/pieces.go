package main

import (
	"context"
	"fmt"
)

// pieceRatio limits how much longer preparing takes with piece CIDs. Their tree takes four times the hashing of a
// shard, and each bit of the data is shifted for it.
const pieceRatio = 5

// measurePieces compares guppy with and without piece CIDs, on one engine: engines do not know of piece CIDs.
func measurePieces(ctx context.Context, b *bench, r *report) error {
	on := b.running[0]
	for _, c := range b.corpora {
		s := series{corpus: c, runs: make([][]prepared, 2)}
		err := b.withCorpus(ctx, c, func(dir string, written contents) error {
			s.contents = written
			return b.warmed(c.name, func() error { return b.pieceRound(ctx, dir, on, &s) }, s.forget)
		})
		if err != nil {
			return err
		}

		without, with := newTimes(s.walls(0)), newTimes(s.walls(1))
		r.Further = append(r.Further,
			line{Corpus: c.name, Engine: on.name, Program: "guppy", Times: without},
			line{Corpus: c.name, Engine: on.name, Program: "guppy --piece-cid", Times: with, Checks: []check{
				within("with piece CIDs / without", "", with.Median/without.Median, pieceRatio),
			}})
	}
	return nil
}

func (b *bench) pieceRound(ctx context.Context, source string, on running, s *series) error {
	for i, wanted := range []bool{false, true} {
		run, err := b.guppy.prepare(ctx, on, source, fmt.Sprintf("--piece-cid=%t", wanted))
		if err == nil {
			err = s.add(i, run)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", on.name, err)
		}
		b.say("  piece CIDs %-5t  %.3f s, %d MiB", wanted, run.wall.Seconds(), run.memory>>20)
	}
	return nil
}
