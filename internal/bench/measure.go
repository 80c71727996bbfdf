package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// spaceFactor is what a benchmark takes at most, in sizes of its largest corpus: that, a copy of it, and databases.
// Kept output adds to it.
const spaceFactor = 3

// bench is a benchmark under way.
type bench struct {
	options
	workspace *workspace
	guppy     *guppy
	self      string
	running   []running
	progress  io.Writer
}

// running is a started engine and the size of an empty database on it.
type running struct {
	name string
	engine
	empty int64
}

// measureAll measures guppy on all corpora and engines. It leaves nothing behind but what options.keep asks for.
func measureAll(ctx context.Context, o options, progress io.Writer) (result *report, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w, err := newWorkspace(o.dir, o.room(), o.keep)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	b := &bench{options: o, workspace: w, self: self, progress: progress}
	b.say("working in %s", w.dir)
	if b.guppy, err = buildGuppy(ctx, w); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stopEngines()) }()
	if err := b.startEngines(ctx); err != nil {
		return nil, err
	}
	result = newReport(w)
	for _, c := range o.corpora {
		measured, err := b.measure(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		result.Corpora = append(result.Corpora, measured)
	}
	return result, nil
}

func (o options) room() (room int64) {
	for _, c := range o.corpora {
		room = max(room, c.room)
	}
	if o.keep {
		return room * int64(spaceFactor+len(o.engines))
	}
	return room * spaceFactor
}

func (b *bench) startEngines(ctx context.Context) error {
	for _, s := range b.engines {
		e, err := s.start(ctx, b.workspace.dir)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		started := running{name: s.name, engine: e}
		started.empty, err = b.guppy.emptySize(ctx, started)
		b.running = append(b.running, started)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (b *bench) stopEngines() (err error) {
	for _, e := range b.running {
		err = errors.Join(err, e.close())
	}
	return err
}

// measure makes a corpus and lets the programs take turns on it. The first round warms up and is not counted.
func (b *bench) measure(ctx context.Context, c corpus) (measured corpusReport, err error) {
	dir, err := b.workspace.fresh("corpus-" + c.name)
	if err != nil {
		return measured, err
	}
	defer func() { err = errors.Join(err, b.workspace.done(dir)) }()
	s := series{corpus: c, runs: make([][]prepared, len(b.running))}
	if s.contents, err = c.write(ctx, dir, b.seed); err != nil {
		return measured, err
	}
	b.say("%s: %d files, %d bytes", c.name, s.contents.Files, s.contents.Bytes)
	for round := range b.rounds + 1 {
		b.say("%s: round %d of %d", c.name, round, b.rounds)
		if err := b.round(ctx, dir, &s); err != nil {
			return measured, err
		}
		if round == 0 {
			s.forget()
		}
	}
	return s.report(b.running), nil
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
		run, err := b.guppy.prepare(ctx, e, source)
		if err == nil {
			err = s.add(i, run)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		b.say("  %-8s  %.3f s, %d MiB", e.name, run.wall.Seconds(), run.memory>>20)
	}
	return nil
}

func (b *bench) limit(ctx context.Context, source string) (wall time.Duration, err error) {
	output, err := b.workspace.fresh("limit")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.workspace.done(output)) }()
	took, _, err := execute(ctx, os.Environ(), b.self, limitCommand, source, output)
	return took.wall, err
}

// say tells the user how far it is; that this may fail is no reason to stop.
func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.progress, format+"\n", args...) }
