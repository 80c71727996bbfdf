package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// spaceFactor is the most space that a benchmark takes, in sizes of its largest corpus: the corpus, a copy of it,
// and databases. Kept output adds to that.
const spaceFactor = 3

// bench is a benchmark in progress.
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

// measureAll measures guppy on all corpora and engines. It leaves nothing behind except what options.keep asks for.
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

	// Engines that run are stopped even if another one does not start.
	defer func() { err = errors.Join(err, b.stopEngines()) }()
	if err := b.startEngines(ctx); err != nil {
		return nil, err
	}

	result = newReport(w)
	for _, e := range o.experiments {
		if err := e.measure(ctx, b, result); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return result, nil
}

// room returns the space that the experiments need, one after the other.
func (o options) room() (room int64) {
	for _, c := range o.corpora {
		room = max(room, c.room)
	}
	room *= spaceFactor

	if o.keep {
		room = room / spaceFactor * int64(spaceFactor+len(o.engines))
	}

	for _, e := range o.experiments {
		room = max(room, e.room)
	}
	return room
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

// withCorpus makes a corpus, calls use with it and removes it.
func (b *bench) withCorpus(ctx context.Context, c corpus, use func(dir string, written contents) error) (err error) {
	dir, err := b.workspace.fresh("corpus-" + c.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.workspace.done(dir)) }()

	written, err := c.write(ctx, dir, b.seed)
	if err != nil {
		return err
	}

	b.say("%s: %d files, %d bytes", c.name, written.Files, written.Bytes)
	if err := use(dir, written); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// warmed runs the rounds that the user asked for after a warm-up round, whose measurements it discards with forget.
func (b *bench) warmed(name string, round func() error, forget func()) error {
	b.say("%s: warm-up", name)
	if err := round(); err != nil {
		return err
	}
	forget()
	return b.repeat(name, b.rounds, round)
}

func (b *bench) repeat(name string, rounds int, round func() error) error {
	for i := range rounds {
		b.say("%s: round %d of %d", name, i+1, rounds)
		if err := round(); err != nil {
			return err
		}
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

// say shows the user the progress. A failure to do so is no reason to stop.
func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.progress, format+"\n", args...) }

// onEach measures on each engine, and adds the lines to a report.
func (b *bench) onEach(r *report, measure func(on starter) ([]line, error)) error {
	for _, s := range b.engines {
		lines, err := measure(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.Further = append(r.Further, lines...)
	}
	return nil
}
