package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// rescans measures how long a run takes that finds nothing changed in a source, by the number of its entries. The
// sources are generated as they are read, so that the time is that of guppy and the database.
type rescans struct{ sizes []int }

const (
	// rescanTarget is how many times as long an entry may take in the largest source as in the smallest.
	rescanTarget = 1.3
	// perEntries is for how many entries times are given.
	perEntries = 10_000
	// rescanRoom is the most space that an entry takes on any engine, including logs, rows that were deleted and its file.
	rescanRoom = 6000
)

func (x rescans) room() (room int64) {
	for _, size := range x.sizes {
		room += int64(size) * rescanRoom
	}
	return room
}

// rescanned is a source of one size that was prepared.
type rescanned struct {
	entries int
	job     pipeline.Job
	// atOnce is how many runs are one measurement: those of a small source are short.
	atOnce int
	times  []time.Duration
	close  func() error
}

func (x rescans) measure(ctx context.Context, b *bench, r *report) error {
	return b.onEach(r, func(on starter) ([]line, error) { return x.measureOn(ctx, b, on) })
}

// measureOn has all sources side by side, so that a busy machine slows the runs of all of them.
func (x rescans) measureOn(ctx context.Context, b *bench, on starter) (lines []line, err error) {
	var all []*rescanned
	defer func() {
		for _, s := range all {
			err = errors.Join(err, s.close())
		}
	}()
	for _, size := range x.sizes {
		s, err := x.open(ctx, b, on, size)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}

	err = b.warmed("rescan, "+on.name, func() error {
		for _, s := range all {
			if err := s.again(ctx); err != nil {
				return err
			}
		}
		return nil
	}, func() {
		for _, s := range all {
			s.times = nil
		}
	})
	if err != nil {
		return nil, err
	}
	return rescanLines(on.name, all), nil
}

// open prepares a source of a size into a database on an engine of its own.
func (x rescans) open(ctx context.Context, b *bench, on starter, size int) (*rescanned, error) {
	s := &rescanned{entries: size, atOnce: min(max(1, 100_000/size), 5)}
	dir, url, err := s.start(ctx, b, on)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*rescanned, error) { return nil, errors.Join(err, s.close()) }

	db, _, err := migrate.New(dialect.Settings{URL: url}).Open(ctx, true)
	if err != nil {
		return fail(err)
	}
	stop := s.close
	s.close = func() error { return errors.Join(db.Close(), stop()) }

	if s.job, err = (jobs{workers: 1, readAhead: 64, shardSize: 254 << 20}).template(dir); err != nil {
		return fail(err)
	}
	s.job.Repo = sqlrepo.New(db)
	s.job.FS = sourcetest.NewSynthetic(sourcetest.Tree{Dirs: size / inDirectory, Files: inDirectory - 1, Size: 9})
	if s.job.Space, s.job.Source, err = register(ctx, s.job.Repo, sourcetest.Root); err != nil {
		return fail(err)
	}

	began := time.Now()
	if err := s.run(ctx, false); err != nil {
		return fail(err)
	}
	b.say("rescan: %s prepared %d entries in %.0f s", on.name, size, time.Since(began).Seconds())
	return s, nil
}

// start starts an engine that makes a database.
func (s *rescanned) start(ctx context.Context, b *bench, on starter) (dir string, url dialect.Secret, err error) {
	if dir, err = b.workspace.fresh(fmt.Sprintf("rescan-%s-%d", on.name, s.entries)); err != nil {
		return "", "", err
	}
	running, err := on.start(ctx, dir)
	if err != nil {
		return "", "", err
	}
	s.close = func() error { return errors.Join(running.close(), b.workspace.done(dir)) }
	if url, err = running.create(ctx, dir); err != nil {
		err = errors.Join(err, s.close())
	}
	return dir, url, err
}

// run prepares the source, or finds it unchanged.
func (s *rescanned) run(ctx context.Context, unchanged bool) error {
	s.job.Progress = &progress.Counters{}
	result, err := s.job.Run(ctx)
	if err == nil && (result.Unchanged != unchanged || result.Upload.State != sqlrepo.Complete) {
		err = fmt.Errorf("%w: upload %d is %s, and unchanged: %t", errWrong, result.Upload.ID, result.Upload.State,
			result.Unchanged)
	}
	return err
}

// again measures runs that find nothing changed.
func (s *rescanned) again(ctx context.Context) error {
	began := time.Now()
	for range s.atOnce {
		if err := s.run(ctx, true); err != nil {
			return err
		}
	}
	s.times = append(s.times, time.Since(began)*perEntries/time.Duration(s.atOnce*s.entries))
	return nil
}

func rescanLines(engine string, all []*rescanned) (lines []line) {
	for at, s := range all {
		l := line{Corpus: fmt.Sprintf("%d entries", s.entries), Engine: engine,
			Program: fmt.Sprintf("rescan, per %d entries", perEntries), Times: newTimes(s.times)}
		if at == len(all)-1 && at > 0 {
			ratio := l.Times.Median / newTimes(all[0].times).Median
			l.Checks = []check{within(fmt.Sprintf("rescan / with %d entries", all[0].entries), "", ratio, rescanTarget)}
		}
		lines = append(lines, l)
	}
	return lines
}
