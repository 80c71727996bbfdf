package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// jobs prepare a source in this process, side by side, like as many processes: each has its own connections.
type jobs struct {
	number, workers, readAhead int
	shardSize                  int64
	// latency is the time that the source's answers are delayed.
	latency time.Duration
}

// run prepares a source and returns the root, and how long that took with the database at hand.
func (j jobs) run(ctx context.Context, url dialect.Secret, dir,
	from string) (wall time.Duration, root string, err error) {
	prepared, closeAll, err := j.open(ctx, url, dir, from)
	defer func() { err = errors.Join(err, closeAll()) }()
	if err != nil {
		return 0, "", err
	}

	// The time counts once all databases are open.
	results := make([]pipeline.Result, len(prepared))
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range prepared {
		group.Go(func() (err error) {
			results[i], err = prepared[i].Run(ctx)
			return err
		})
	}

	if err := group.Wait(); err != nil {
		return 0, "", err
	}

	wall = time.Since(began)
	root, err = oneRoot(results)
	return wall, root, err
}

// oneRoot returns errWrong unless all results are of the same complete upload.
func oneRoot(results []pipeline.Result) (string, error) {
	first := results[0].Upload
	for _, r := range results {
		if r.Upload.State != sqlrepo.Complete || r.Upload.ID != first.ID {
			return "", fmt.Errorf("%w: upload %d is %s", errWrong, r.Upload.ID, r.Upload.State)
		}
	}
	return first.RootCID.String(), nil
}

// open makes the jobs on a new database. The returned closeAll is never nil.
func (j jobs) open(ctx context.Context, url dialect.Secret, dir,
	from string) (opened []pipeline.Job, closeAll func() error,
	err error) {
	var databases []*dialect.DB
	closeAll = func() (err error) {
		for _, db := range databases {
			err = errors.Join(err, db.Close())
		}
		return err
	}

	template, err := j.template(dir)
	if err != nil {
		return nil, closeAll, err
	}

	settings := dialect.Settings{URL: url}
	if _, err := migrate.New(settings).Ensure(ctx, true); err != nil {
		return nil, closeAll, err
	}

	for range j.number {
		db, err := dialect.Open(ctx, settings)
		if err != nil {
			return nil, closeAll, err
		}
		databases = append(databases, db)
		job := template
		job.Repo, job.Progress = sqlrepo.New(db), &progress.Counters{}
		opened = append(opened, job)
	}

	space, src, err := register(ctx, opened[0].Repo, from)
	for i := range opened {
		opened[i].Space, opened[i].Source = space, src
	}
	return opened, closeAll, err
}

// template returns what all jobs have in common.
func (j jobs) template(dir string) (pipeline.Job, error) {
	shards, err := store.OpenDirectory(filepath.Join(dir, "shards"))
	if err != nil {
		return pipeline.Job{}, err
	}

	files := source.Local()
	if j.latency > 0 {
		files = slow{files, j.latency}
	}

	return pipeline.Job{
		Store: shards, FS: files, Workers: j.workers, ReadAhead: j.readAhead, TempDir: dir,
		Fresh: sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: j.shardSize, SourceOptions: sourceOptions()},
		Log:   slog.New(slog.DiscardHandler),
	}, nil
}

func sourceOptions() sqlrepo.SourceOptions {
	return sqlrepo.SourceOptions{SymlinkPolicy: source.PreserveSymlinks.String()}
}

// register adds a space and a source at a path.
func register(ctx context.Context, repo *sqlrepo.Repository,
	path string) (space sqlrepo.Space, src sqlrepo.Source, err error) {
	space, err = repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkBench", Name: "bench"})
	if err != nil {
		return space, src, err
	}
	src, err = repo.AddSource(ctx, sqlrepo.Source{
		Space: space.ID, Name: "source", Path: []byte(path), SourceOptions: sourceOptions(),
	})
	return space, src, err
}
