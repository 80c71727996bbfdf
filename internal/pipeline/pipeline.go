// Package pipeline takes one upload through its stages: scan, plan, pack, link, complete.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/internal/link"
	"github.com/guppy-prep/guppy/internal/pack"
	"github.com/guppy-prep/guppy/internal/plan"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/scan"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Job is the preparation of one source.
type Job struct {
	Repo   *sqlrepo.Repository
	Store  store.Store
	FS     source.FS
	Space  sqlrepo.Space
	Source sqlrepo.Source
	// Fresh is the recipe of a new upload: profile, shard size, options. Of an unfinished one only the options change.
	Fresh sqlrepo.Upload
	// SkipFailed completes the upload without the entries that could not be prepared.
	SkipFailed         bool
	Workers, ReadAhead int
	TempDir            string
	Progress           *progress.Counters
	Log                *slog.Logger
}

// Result is how an upload stands after a run.
type Result struct {
	Upload sqlrepo.Upload
	// Failed is how many entries could not be prepared. The upload is complete only if there are none, or they are to be
	// skipped.
	Failed int64
}

// Run takes the source's unfinished upload, or a new one, as far as it can. It returns sqlrepo.ErrLocked when another
// run is at work on it, and sqlrepo.ErrLeaseLost when one took over. Whatever is committed stays when it fails.
func (j *Job) Run(ctx context.Context) (result Result, err error) {
	lock, err := j.Repo.LockSource(ctx, j.Source.ID)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	run, err := j.begin(ctx)
	if err != nil {
		return result, err
	}
	defer func() { err = j.blameTakeover(ctx, run, err) }()
	if result.Failed, err = j.content(ctx, run); err != nil {
		return result, err
	}
	if result.Failed == 0 || j.SkipFailed {
		err = j.link(ctx, run)
		if errors.Is(err, link.ErrNoRoot) && result.Failed > 0 {
			err = nil
		}
		if err != nil {
			return result, err
		}
	}
	result.Upload, err = j.Repo.Upload(ctx, run.Upload.ID)
	return result, err
}

// blameTakeover says so when a run failed because another one took over, and with it what this one had in the store.
func (j *Job) blameTakeover(ctx context.Context, run sqlrepo.Run, failure error) error {
	if failure == nil || ctx.Err() != nil || errors.Is(failure, sqlrepo.ErrLeaseLost) ||
		errors.Is(failure, sqlrepo.ErrUnavailable) {
		return failure
	}
	upload, err := j.Repo.Upload(ctx, run.Upload.ID)
	if err == nil && upload.Token != run.Upload.Token {
		return fmt.Errorf("%w: %w", sqlrepo.ErrLeaseLost, failure)
	}
	return failure
}

// begin keeps options that were changed with the source, and starts the run.
func (j *Job) begin(ctx context.Context) (sqlrepo.Run, error) {
	now, was := j.Fresh.SourceOptions, j.Source.SourceOptions
	if now.SymlinkPolicy != was.SymlinkPolicy || !slices.Equal(now.Excludes, was.Excludes) {
		if err := j.Repo.SetSourceOptions(ctx, j.Source.ID, now); err != nil {
			return sqlrepo.Run{}, err
		}
	}
	run, err := j.Repo.BeginRun(ctx, j.Source.ID, j.Fresh)
	if err != nil {
		return run, err
	}
	j.Log.Info("begin", "upload", run.Upload.ID, "source", j.Source.Name, "resumed", run.Resumed)
	removed, err := j.Store.Clean(ctx, j.owner(run))
	if removed > 0 {
		j.Log.Info("removed what an interrupted run left", "files", removed)
	}
	return run, err
}

// owner names the run's upload among all that use the store.
func (j *Job) owner(run sqlrepo.Run) string {
	key := string(j.Space.DID)
	return fmt.Sprintf("%s-%d", key[max(0, strings.LastIndexByte(key, ':')+1):], run.Upload.ID)
}

// content brings everything into data shards that can be, and returns how many entries can't.
func (j *Job) content(ctx context.Context, run sqlrepo.Run) (failed int64, err error) {
	scanner, err := j.scanner(run)
	if err != nil {
		return 0, err
	}
	j.enter("scanning")
	if err := scanner.Run(ctx, run); err != nil {
		return 0, fmt.Errorf("scan: %w", err)
	}
	if err := errors.Join(j.analyze(ctx), j.countWaiting(ctx, run)); err != nil {
		return 0, err
	}
	for again := 1; again > 0; {
		if err := j.pack(ctx, run); err != nil {
			return 0, err
		}
		if again, err = scanner.Again(ctx, run); err != nil {
			return 0, fmt.Errorf("scan again: %w", err)
		}
	}
	return j.Repo.CountEntries(ctx, run.Upload.ID, sqlrepo.Failed)
}

func (j *Job) scanner(run sqlrepo.Run) (*scan.Scanner, error) {
	excludes, err := source.ParseExcludes(run.Upload.Excludes)
	if err != nil {
		return nil, err
	}
	policy, err := source.ParseSymlinkPolicy(run.Upload.SymlinkPolicy)
	if err != nil {
		return nil, err
	}
	return &scan.Scanner{
		Repo: j.Repo, FS: j.FS, Root: string(j.Source.Path), Progress: j.Progress,
		Options: source.Options{Excludes: excludes, Symlinks: policy},
	}, nil
}

// countWaiting counts what an earlier run planned and did not pack.
func (j *Job) countWaiting(ctx context.Context, run sqlrepo.Run) error {
	if !run.Resumed {
		return nil
	}
	waiting := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPlanned, sqlrepo.ShardPacking}}
	bytes, err := j.Repo.SegmentBytes(ctx, run.Upload.ID, waiting)
	j.Progress.BytesTotal.Add(bytes)
	return err
}

// manyEntries are so many that it matters how the engine reads them.
const manyEntries = 50_000

func (j *Job) analyze(ctx context.Context) error {
	if j.Progress.Entries.Load() < manyEntries {
		return nil
	}
	return j.Repo.Analyze(ctx)
}

// pack plans what is not planned yet, and packs what is.
func (j *Job) pack(ctx context.Context, run sqlrepo.Run) error {
	j.enter("planning")
	if err := j.Repo.SetState(ctx, run, sqlrepo.Planning); err != nil {
		return err
	}
	if err := plan.Run(ctx, j.Repo, run, j.Progress); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	if err := j.analyze(ctx); err != nil {
		return err
	}
	j.enter("packing")
	if err := j.Repo.SetState(ctx, run, sqlrepo.Packing); err != nil {
		return err
	}
	packer := pack.Packer{
		Repo: j.Repo, Store: j.Store, Owner: j.owner(run), FS: j.FS, Root: string(j.Source.Path),
		Workers: j.Workers, ReadAhead: j.ReadAhead, Progress: j.Progress,
	}
	if err := packer.Run(ctx, run); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return nil
}

func (j *Job) link(ctx context.Context, run sqlrepo.Run) error {
	profile, err := unixfs.ParseProfile(run.Upload.Profile)
	if err != nil {
		return err
	}
	j.enter("linking")
	if err := j.Repo.SetState(ctx, run, sqlrepo.Linking); err != nil {
		return err
	}
	linker := link.Linker{
		Repo: j.Repo, Store: j.Store, Owner: j.owner(run), Profile: profile, TempDir: j.TempDir, Progress: j.Progress,
	}
	root, counts, err := linker.Run(ctx, run)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return j.Repo.CompleteUpload(ctx, run, root, counts)
}

func (j *Job) enter(stage string) {
	j.Progress.Begin(stage)
	j.Log.Debug("stage", "name", stage)
}
