package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const workerHelp = `Worker takes whatever work there is for the unfinished uploads in the repository, beside any
number of other workers, of guppy prepare and of guppy upload, on this host and on others. It goes on until it is
interrupted, and then gives back what it has not done.

All of them share one store, such as a bucket or a network directory: --store says where this host sees it, and a
marker in it proves that it is the same. Uploads of which no bytes are kept (none:) need no store. A source that is
mounted elsewhere on this host is mapped with --source-path. A worker that does not see the source or the store of
an upload says so, and takes no work of it until it does.`

// workerOptions holds the flags of worker that are not settings.
type workerOptions struct {
	spaces       []string
	exitWhenIdle bool
}

func (a *app) workerCommand() *cobra.Command {
	options := workerOptions{}
	command := &cobra.Command{
		Use: "worker", Short: "Work on all unfinished uploads, together with others", Long: workerHelp,
		Args: usageArgs(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
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
		"`SOURCE=PATH`: where a source is on this host, by its name, SPACE/NAME or registered path; may be repeated")

	flags.String("store", "", storeUsage)
	flags.StringArrayVar(&options.spaces, "space", nil,
		"work on uploads into this space alone, by `NAME` or DID; may be repeated")
	flags.Lookup("space").Annotations = map[string][]string{noSetting: {}}

	flags.String("workers", "", "`N` shards are packed side by side (default: the number of CPUs)")
	flags.String("read-ahead", "", "`N` reads are under way for each shard (default 1024)")
	a.addAcceptFlag(command)
	flags.BoolVar(&options.exitWhenIdle, "exit-when-idle", false,
		"end when nothing is left to do: with 1 if an upload was out of sight, 3 if one is incomplete or has work set aside")

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

	sight := locator{a, cfg, repo, paths}

	worker := pipeline.Worker{
		Repo: repo.Repository, Filter: filter, Locate: sight.locate, Standing: !options.exitWhenIdle, Roving: true,
		Workers: workers(cfg), ReadAhead: readAhead(cfg), Limits: limits(cfg), TempDir: cfg.Repo.DataDir,
		Progress: &progress.Counters{}, Log: a.log,
	}

	// From here on an interruption leaves work to resume.
	a.ran = true

	a.log.Info("begin", "worker", presence.Name(), "store", cfg.Prepare.Store)
	stop := a.showWork(ctx, &worker)
	err = worker.Run(ctx)
	stop()

	if err != nil {
		return err
	}
	return leftUndone(ctx, repo, filter)
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

// leftUndone returns pipeline.ErrSetAside and errIncomplete for uploads that nobody continues.
func leftUndone(ctx context.Context, repo *repository, filter sqlrepo.OpenFilter) error {
	open, err := repo.OpenUploads(ctx, filter)
	for _, upload := range open {
		switch {
		case upload.Stuck():
			err = errors.Join(err, fmt.Errorf("upload %d, %s: %w", upload.ID, upload.State, pipeline.ErrSetAside))
		case upload.State == sqlrepo.Incomplete:
			err = errors.Join(err, fmt.Errorf("upload %d is not complete: %w: guppy upload lists them and tries once more",
				upload.ID, errIncomplete))
		}
	}
	return err
}
