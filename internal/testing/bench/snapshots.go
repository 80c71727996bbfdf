package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// snapshotSeries measures what the snapshots of a source that changes a little leave behind in a database: one run
// after the other, of which only the last few are kept.
type snapshotSeries struct {
	entries, runs, kept int
	// changedEvery is one of how many files that has changed in each snapshot.
	changedEvery int
	fileSize     int64
	shardSize    int64
	// statements, if not "", are carried out in a database of PostgreSQL before the first run.
	statements string
}

const (
	// bloatTarget limits the size of all tables and indexes after the series, as a multiple of their size once they were
	// written again.
	bloatTarget = 1.5
	// lastRunTarget limits the median time of the last three snapshots, as a multiple of that of the second to the fourth.
	lastRunTarget = 1.3
)

func newSnapshotSeries(entries int, statements string) snapshotSeries {
	return snapshotSeries{
		entries: entries, runs: 10, kept: 3, changedEvery: 100, fileSize: 1 << 10, shardSize: 1 << 18,
		statements: statements,
	}
}

func (x snapshotSeries) room() int64 { return int64(x.entries) * int64(x.runs) * entryRoom }

func (x snapshotSeries) measure(ctx context.Context, b *bench, r *report) error {
	for _, on := range b.running {
		err := b.workspace.withDatabaseNamed(ctx, "snapshots-", on, func(dir string, url dialect.Secret) error {
			lines, err := x.measureOn(ctx, b, on, dir, url)
			r.Further = append(r.Further, lines...)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", on.name, err)
		}
	}
	return nil
}

// snapshotsOf are the snapshots of one source in one database.
type snapshotsOf struct {
	snapshotSeries
	bench  *bench
	job    pipeline.Job
	source *sourcetest.Synthetic
	gc     gc.Collector
	kept   []sqlrepo.Upload
	took   []time.Duration
}

func (x snapshotSeries) measureOn(ctx context.Context, b *bench, on running, dir string,
	url dialect.Secret) (lines []line, err error) {
	db, _, err := migrate.New(dialect.Settings{URL: url}).Open(ctx, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	var look bloatWatch = filePages{db: db}
	if _, ok := on.engine.(server); ok {
		if look, err = watchTables(ctx, url, x.statements); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, look.close()) }()

	s := &snapshotsOf{snapshotSeries: x, bench: b}
	if err := s.prepareTo(ctx, db, dir); err != nil {
		return nil, err
	}
	for n := range x.runs {
		if err := s.take(ctx, n); err != nil {
			return nil, fmt.Errorf("snapshot %d: %w", n+1, err)
		}
		// Snapshots are hours apart, so that the engine has tidied up before the next.
		if err := look.settle(ctx); err != nil {
			return nil, err
		}
		size, err := db.Size(ctx)
		if err != nil {
			return nil, err
		}
		b.say("snapshots, %s: run %d took %.2f s, %d MiB", on.name, n+1, s.took[n].Seconds(), size>>20)
	}

	after, err := look.size(ctx, b)
	if err != nil {
		return nil, err
	}
	again, err := look.rewritten(ctx)
	if err != nil {
		return nil, err
	}
	b.say("snapshots, %s: %d MiB, and %d MiB once written again", on.name, after>>20, again>>20)
	return s.lines(on.name, float64(after)/float64(again)), nil
}

func (s *snapshotsOf) prepareTo(ctx context.Context, db *dialect.DB, dir string) (err error) {
	s.source = sourcetest.NewSynthetic(sourcetest.Tree{
		Dirs: s.entries / inDirectory, Files: inDirectory - 1, Size: s.fileSize, Seed: s.bench.seed,
	})
	if s.job, err = (jobs{workers: 2, readAhead: 64, shardSize: s.shardSize}).template(dir); err != nil {
		return err
	}
	s.job.Repo, s.job.FS = sqlrepo.New(db), s.source
	s.gc = gc.Collector{Repo: s.job.Repo, TempDir: dir, Log: s.job.Log,
		Locate: func(context.Context, sqlrepo.Upload) (store.Store, error) { return s.job.Store, nil }}
	s.job.Space, s.job.Source, err = register(ctx, s.job.Repo, sourcetest.Root)
	return err
}

// take changes the source, prepares it, and removes the oldest of the snapshots if there are more than are kept.
func (s *snapshotsOf) take(ctx context.Context, n int) error {
	if n > 0 {
		for i := n; i < s.entries; i += s.changedEvery {
			s.source.Change(s.source.FilePath(i/inDirectory, i%inDirectory), 0)
		}
	}

	s.job.Progress = &progress.Counters{}
	began := time.Now()
	result, err := s.job.Run(ctx)
	if err != nil {
		return err
	}
	s.took = append(s.took, time.Since(began))
	if result.Upload.State != sqlrepo.Complete || result.Unchanged {
		return fmt.Errorf("%w: upload %d is %s", errWrong, result.Upload.ID, result.Upload.State)
	}

	if s.kept = append(s.kept, result.Upload); len(s.kept) <= s.snapshotSeries.kept {
		return nil
	}
	if err := s.gc.Mark(ctx, s.kept[0]); err != nil {
		return err
	}
	s.kept = s.kept[1:]
	_, err = s.gc.Collect(ctx, s.job.Space.ID)
	return err
}

func (s *snapshotsOf) lines(engine string, bloat float64) []line {
	all := newTimes(s.took[1:])
	third := min(3, len(all.All))
	ratio := median(all.All[len(all.All)-third:]) / median(all.All[:third])
	return []line{{
		Corpus: fmt.Sprintf("%d entries", s.entries), Engine: engine,
		Program: fmt.Sprintf("snapshots with 1/%d changed", s.changedEvery), Times: all,
		Checks: []check{within("last runs / first", "", ratio, lastRunTarget),
			within("size / written again", "", bloat, bloatTarget)},
	}}
}

// bloatWatch sees how much space of a database is not used.
type bloatWatch interface {
	// settle waits until the engine has tidied up on its own.
	settle(ctx context.Context) error
	size(ctx context.Context, b *bench) (int64, error)
	// rewritten writes everything again, and returns the size.
	rewritten(ctx context.Context) (int64, error)
	close() error
}

// filePages is a database in one file, which keeps the pages that are free.
type filePages struct{ db *dialect.DB }

func (filePages) settle(context.Context) error { return nil }
func (filePages) close() error                 { return nil }

func (f filePages) size(ctx context.Context, b *bench) (int64, error) {
	used, err := f.db.Size(ctx)
	if err != nil {
		return 0, err
	}
	size, err := f.file(ctx)
	b.say("snapshots: the file has %d MiB, of which %d are used", size>>20, used>>20)
	return size, err
}

// file returns the length of the file, once all of the log is in it.
func (f filePages) file(ctx context.Context) (int64, error) {
	path, err := f.db.Locate(f.db.Settings)
	if err != nil {
		return 0, err
	}
	if _, err := f.db.Writer.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f filePages) rewritten(ctx context.Context) (int64, error) {
	if err := f.db.Vacuum(ctx); err != nil {
		return 0, err
	}
	return f.file(ctx)
}
