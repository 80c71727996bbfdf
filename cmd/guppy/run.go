package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/shortage"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func workers(cfg *config.Config) int {
	if cfg.Prepare.Workers > 0 {
		return cfg.Prepare.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func limits(cfg *config.Config) pipeline.Limits {
	return pipeline.Limits{
		Lease: cfg.Worker.Lease, StallTimeout: cfg.Worker.StallTimeout, MaxAttempts: cfg.Worker.MaxAttempts,
		RunAhead: cfg.Worker.RunAhead,
	}
}

// runSource prepares one registered source and reports the result.
func (a *app) runSource(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	registered sqlrepo.Source) (*report, error) {
	if err := refuseOwnFiles(cfg, string(registered.Path)); err != nil {
		return nil, err
	}
	if err := refuseStore(ctx, cfg, repo, string(registered.Path)); err != nil {
		return nil, err
	}
	return a.runAllowed(ctx, cfg, repo, space, registered)
}

// runAllowed is like runSource for a source whose path is known to be neither a store nor one of guppy's own
// directories.
func (a *app) runAllowed(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	registered sqlrepo.Source) (*report, error) {
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Source: &registered.ID})
	if err != nil {
		return nil, err
	}
	return a.runKnown(ctx, cfg, repo, space, registered, uploads)
}

// runKnown is like runSource but takes the uploads that the source has so far.
func (a *app) runKnown(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	registered sqlrepo.Source, uploads []sqlrepo.Upload) (*report, error) {
	fresh, err := recipe(cfg, uploads, space, registered)
	if err != nil {
		return nil, err
	}

	fresh.Always = a.always
	a.tidyDataDir(cfg)

	shards, err := a.storeForUpload(ctx, cfg, repo, space, uploads)
	if err != nil {
		return nil, err
	}

	held, files, err := a.hold(ctx, cfg, repo, registered, string(registered.Path), fresh.SourceOptions)
	if err != nil {
		return nil, err
	}
	defer held.Close() //nolint:errcheck // nothing was written

	// An empty directory is often a mount point whose file system is missing.
	if len(uploads) == 0 && held.Sighting().Empty {
		a.log.Warn("the source is an empty directory: is it mounted?", "path", string(registered.Path))
	}

	job := pipeline.Job{
		Repo: repo.Repository, Store: shards, FS: files, Held: held, Space: space, Source: registered, Fresh: fresh,
		SkipFailed: cfg.Prepare.OnError == "skip", Workers: workers(cfg), ReadAhead: readAhead(cfg), Limits: limits(cfg),
		TempDir: cfg.Repo.DataDir, Progress: &progress.Counters{}, Log: a.log, PatternOrigin: patternOrigin(cfg),
		Tags: a.tags,
	}

	if err := a.replicate(ctx, cfg, repo, &job); err != nil {
		return nil, err
	}
	left := unsent{}
	if job.Sending != nil {
		job.Sending.Left = left.add
	}

	before, err := packedSoFar(ctx, repo, uploads)
	if err != nil {
		return nil, err
	}

	// From here on an interruption leaves work to resume.
	a.ran = true
	started := time.Now()
	stop := a.showProgress(ctx, job.Progress.State)
	result, err := job.Run(ctx)
	stop()

	// An error for lack of room is more useful with the amount that is needed.
	if shortage.Full(err) {
		err = sayWhatIsNeeded(ctx, repo, registered, err)
	}

	if err != nil {
		a.noteStop(ctx, repo, result.Upload.ID, err)
		return nil, err
	}

	summary, err := newReport(ctx, repo, job, result, before, time.Since(started))
	if err == nil {
		summary.newKey = a.newKey
		err = a.addSent(ctx, repo, job, summary, left)
	}
	if err == nil && !result.Unchanged && cfg.ByFlag("prepare.piece_cid") && result.Upload.PieceCID {
		a.warnOfNoPieces(summary)
	}
	return summary, err
}

// noteTimeout limits how long the reason of a stop is written. An interrupted program has less time.
const noteTimeout, lastNoteTimeout = 5 * time.Second, graceTime / 3

// noteStop keeps with an upload why its run ended, unless the database can't be reached. What was set aside is kept
// with the work itself.
func (a *app) noteStop(ctx context.Context, repo *repository, upload int64, failure error) {
	if upload == 0 || isAny(failure, []error{
		sqlrepo.ErrUnavailable, sqlrepo.ErrLockLost, sqlrepo.ErrAtWork, pipeline.ErrSetAside, pipeline.ErrRemoved,
	}) {
		return
	}

	reason, timeout := stopReason(failure), noteTimeout
	if ctx.Err() != nil {
		reason, timeout = "interrupted", lastNoteTimeout
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if err := repo.NoteStop(ctx, upload, reason); err != nil {
		a.log.Debug("could not keep why the run stopped", "error", err)
	}
}

// stopReason returns the text of a failure as it is kept. That of a full file system says how much room there was, and
// leaves out the name of the temporary file that did not fit, which means nothing later.
func stopReason(failure error) string {
	room := shortage.Explain(failure)
	if room == "" {
		return failure.Error()
	}
	place := shortage.Place(failure)
	return strings.ReplaceAll(failure.Error()+"; "+room, place, filepath.Dir(place))
}

// sayWhatIsNeeded adds the number of bytes yet to be packed to the error of a run for which there was no room.
func sayWhatIsNeeded(ctx context.Context, repo *repository, registered sqlrepo.Source, full error) error {
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Source: &registered.ID})
	if err != nil || len(uploads) == 0 {
		// The lack of room matters more than the error of this query.
		return full
	}

	last := uploads[len(uploads)-1]
	remaining := last.PlannedBytes - last.PackedBytes
	if remaining <= 0 {
		return full
	}
	return fmt.Errorf("%w; %s of the source still have to be packed", full, progress.Bytes(remaining))
}

// warnOfNoPieces warns of an upload without any piece CID although the user asked for them.
func (a *app) warnOfNoPieces(summary *report) {
	computed := func(shard shardView) bool { return shard.PieceCID != "" }
	if summary.State != incomplete && !slices.ContainsFunc(summary.Shards, computed) {
		a.log.Warn("no piece CID was computed: earlier uploads had stored everything (guppy shard ls lists their piece CIDs)",
			"upload", summary.Upload)
	}
}
