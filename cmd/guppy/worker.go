package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const workerHelp = `Worker works on the unfinished uploads of the repository, together with any
number of other workers and of guppy prepare and guppy upload, on this host and
on others. It runs until it is interrupted, and then gives back its unfinished
work.

Each upload has its store, such as a bucket or a network directory. --store-path
says where this host sees a store, and a marker in the store proves that it is
the same. Uploads whose bytes are not kept (none:) need no store. A source that
is mounted elsewhere on this host is mapped with --source-path. A worker that
can't find the source or the store of an upload logs that, and takes no work of
this upload until it can. Workers also send files to the replicas of spaces.`

// workerOptions holds the flags of worker that are not settings.
type workerOptions struct {
	spaces       []string
	exitWhenIdle bool
}

func (a *app) workerCommand() *cobra.Command {
	options := workerOptions{}
	command := &cobra.Command{
		Use: "worker", Short: "Work on all unfinished uploads, together with other workers", Long: workerHelp,
		Args: usageArgs(cobra.NoArgs),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
			// The database may be on another host, so this one may have no data directory yet.
			if err := makeDataDir(cfg); err != nil {
				return err
			}

			return a.work(ctx, cfg, repo, options)
		}),
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.StringArray("source-path", nil,
		"`SOURCE=PATH`: place of a source on this host; SOURCE is its name, SPACE/NAME or registered path; "+
			"may be repeated")

	addStorePathFlags(flags)
	flags.StringArrayVar(&options.spaces, "space", nil,
		"work only on uploads into the space with this `NAME` or DID; may be repeated")
	flags.Lookup("space").Annotations = map[string][]string{noSetting: {}}

	flags.String("workers", "", "pack `N` shards at a time (default: the number of CPUs)")
	flags.String("read-ahead", "", "keep up to `N` reads under way for each shard (default 1024)")
	a.addAcceptFlag(command)
	flags.BoolVar(&options.exitWhenIdle, "exit-when-idle", false,
		"exit when no work is left: with 1 if a source, a store or a replica was not found, with 3 if an "+
			"upload is incomplete or work was set aside")

	return command
}

// work runs a worker while nobody can change the schema.
func (a *app) work(ctx context.Context, cfg *config.Config, repo *repository, options workerOptions) (err error) {
	paths, err := mapSources(ctx, cfg, repo)
	if err != nil {
		return err
	}

	filter, err := spaceFilter(ctx, repo, options.spaces)
	if err != nil {
		return err
	}

	a.tidyDataDir(cfg)

	lock, err := repo.LockUse(ctx)
	if err != nil {
		return err
	}

	ctx = lock.Watch(ctx)
	defer func() { err = errors.Join(dialect.BlameLock(ctx, err), lock.Release()) }()

	stores, err := a.stores(ctx, cfg, repo)
	if err != nil {
		return err
	}
	sites := locator{a, cfg, repo, paths, stores}

	replicas, _, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return err
	}
	replicas.Options.RetryFor = min(replicas.Options.RetryFor, replicaPatience)
	left := unsent{}

	worker := pipeline.Worker{
		Repo: repo.Repository, Filter: filter, Locate: sites.locate, Standing: !options.exitWhenIdle, Roving: true,
		Sending: &pipeline.Sending{Spaces: filter.Spaces, Open: replicas.Open, Left: left.add},
		Workers: workers(cfg), ReadAhead: readAhead(cfg), Limits: limits(cfg), TempDir: cfg.Repo.DataDir,
		Progress: &progress.Counters{}, Log: a.log,
	}
	var completed completions
	worker.Completed = completed.add

	// From here on an interruption leaves work to resume.
	a.ran = true

	a.log.Info("working", "worker", presence.Name())
	started, stop := time.Now(), a.showWork(ctx, &worker)
	err = worker.Run(ctx)
	stop()

	if err != nil {
		return err
	}

	view := workerView{
		Files: worker.Progress.Files.Load(), Bytes: worker.Progress.Bytes.Load(), SentFiles: worker.Progress.Sent.Load(),
		SentBytes: worker.Progress.SentBytes.Load(), Seconds: time.Since(started).Seconds(),
	}
	if view.Completed, err = completed.views(ctx, repo); err != nil {
		return err
	}
	lacking, err := a.sentViews(ctx, repo, worker.Sending, left)
	if err != nil {
		return err
	}
	view.Replicas = append([]sentView{}, lacking...)

	undone, err := leftUndone(ctx, repo, filter, &view)
	if err != nil {
		return err
	}
	return errors.Join(a.print(&view, view.text), undone)
}

func spaceFilter(ctx context.Context, repo *repository, names []string) (filter sqlrepo.OpenFilter, err error) {
	for _, name := range names {
		space, err := repo.FindSpace(ctx, name)
		if err != nil {
			return filter, err
		}
		filter.Spaces = append(filter.Spaces, space.ID)
	}
	return filter, nil
}

// leftUndone counts the unfinished uploads. It returns as undone pipeline.ErrSetAside and errIncomplete for uploads
// that nobody continues, and errors for replicas that lack files or are not there.
func leftUndone(ctx context.Context, repo *repository, filter sqlrepo.OpenFilter,
	view *workerView) (undone, err error) {
	open, err := repo.OpenUploads(ctx, filter)
	if err != nil {
		return nil, err
	}
	view.Unfinished = int64(len(open))

	for _, upload := range open {
		if !upload.Stuck() && upload.State != sqlrepo.Incomplete {
			continue
		}
		again, err := continuingUpload(ctx, repo, upload.Upload)
		if err != nil {
			return nil, errors.Join(undone, err)
		}

		if upload.Stuck() {
			err = fmt.Errorf("upload %d, %s: %w: %s tries it again", upload.ID, upload.State, pipeline.ErrSetAside, again)
		} else {
			err = fmt.Errorf("upload %d is not complete: %w: %s lists them and tries again", upload.ID, errIncomplete, again)
		}
		undone = errors.Join(undone, err)
	}

	for _, replica := range view.Replicas {
		undone = errors.Join(undone, replica.err(true))
	}
	return undone, nil
}
