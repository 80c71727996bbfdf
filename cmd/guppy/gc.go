package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/gc"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const gcHelp = `Gc goes on with the removal of uploads that guppy upload rm has begun: it deletes their entries, and the
shards that no remaining upload of their space needs. It also removes temporary files that interrupted workers have
left. Without --yes it only says what it would do.

Workers may go on meanwhile. Gc may be interrupted anywhere, and goes on when it is run again.

Files of the store that have the name of a shard which is not in this repository are counted; --strays removes them.
Don't use it while another repository has the same store: all its shards are such files.

With --json it prints one object:
  dry_run          nothing was changed
  spaces           list of space, uploads, entries, shards, nodes, files and bytes of the store that are deleted, and
                   kept_entries, kept_shards: those of removed uploads that others need
  temporary_files  how many
  strays           files and bytes
  vacuumed         the database file has given its unused space back; PostgreSQL sees to that by itself`

// gcOptions are the flags that are no settings.
type gcOptions struct{ yes, strays, vacuum bool }

func (a *app) gcCommand() *cobra.Command {
	options := gcOptions{}
	command := &cobra.Command{
		Use: "gc", Short: "Delete what removed uploads have left and nobody needs", Long: gcHelp,
		Args: usageArgs(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
	}
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if err := a.requireRepository(cmd); err != nil {
			return err
		}
		return a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
			return a.collect(ctx, cfg, repo, options)
		})(cmd, args)
	}
	flags := command.Flags()
	flags.SortFlags = false
	addRemovalFlags(command, &options.yes)
	flags.BoolVar(&options.strays, "strays", false, "remove files of the store that no shard of this repository names")
	flags.BoolVar(&options.vacuum, "vacuum", false,
		"have the database file give unused space back: takes as long as copying it, while nobody may work")
	return command
}

func addRemovalFlags(command *cobra.Command, yes *bool) {
	command.Flags().BoolVar(yes, "yes", false, "do it: without, it is only said what would be done")
	command.Flags().String("store", "", "`DIR` of the shards as this host sees it (default: shards in the data directory)")
}

// inUse runs fn while nobody may change the schema.
func inUse(ctx context.Context, repo *repository, fn func() error) (err error) {
	lock, err := repo.LockUse(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	return fn()
}

func (a *app) collector(cfg *config.Config, repo *repository) *gc.Collector {
	sight := &locator{cfg: cfg, repo: repo}
	return &gc.Collector{
		Repo: repo.Repository, TempDir: cfg.Repo.DataDir, Lease: cfg.Worker.Lease, Log: a.log,
		Locate: func(ctx context.Context, upload sqlrepo.Upload) (gc.Store, error) {
			if upload.Store == "" { // an older guppy made it
				return store.OpenExisting(cfg.Prepare.Store)
			}
			found, err := sight.store(ctx, upload)
			if err != nil {
				return nil, err
			}
			files, ok := found.(gc.Store)
			if !ok {
				return nil, fmt.Errorf("store of upload %d: %w: nothing can be removed from it", upload.ID, errors.ErrUnsupported)
			}
			return files, nil
		},
	}
}

type gcView struct {
	DryRun    bool          `json:"dry_run"`
	Spaces    []removalView `json:"spaces"`
	Temporary int64         `json:"temporary_files"`
	Strays    filesView     `json:"strays"`
	Vacuumed  bool          `json:"vacuumed"`

	straysRemoved bool
}

type filesView struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// collect prints what was done even when something failed.
func (a *app) collect(ctx context.Context, cfg *config.Config, repo *repository, options gcOptions) error {
	view := &gcView{DryRun: !options.yes, Spaces: []removalView{}, straysRemoved: options.yes && options.strays}
	err := inUse(ctx, repo, func() error {
		collector := a.collector(cfg, repo)
		if err := a.collectSpaces(ctx, collector, repo, view); err != nil {
			return err
		}
		if err := a.sweep(ctx, cfg, collector, repo, view); err != nil || view.DryRun {
			return err
		}
		return repo.ForgetReceipts(ctx)
	})
	if err == nil && options.yes && options.vacuum {
		view.Vacuumed, err = repo.Vacuum(ctx)
	}
	return errors.Join(a.print(view, view.text), err)
}

func (a *app) collectSpaces(ctx context.Context, collector *gc.Collector, repo *repository, view *gcView) error {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, space := range spaces {
		removed, err := repo.RemovedUploads(ctx, space.ID)
		if err != nil {
			return err
		}
		if len(removed) == 0 {
			continue
		}
		var sum gc.Summary
		if view.DryRun {
			sum, err = collector.Plan(ctx, space.ID, removed)
		} else {
			sum, err = collector.Collect(ctx, space.ID)
		}
		failed = errors.Join(failed, err)
		view.Spaces = append(view.Spaces, newRemovalView(space, sum))
	}
	return failed
}

// sweep looks for what no row names in the store that is configured, if that is one of this repository.
func (a *app) sweep(ctx context.Context, cfg *config.Config, collector *gc.Collector, repo *repository,
	view *gcView) error {
	files, err := store.OpenExisting(cfg.Prepare.Store)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return err
	}
	for _, space := range spaces {
		n, err := collector.Temporary(ctx, files, space, !view.DryRun)
		if err != nil {
			return err
		}
		view.Temporary += n
	}
	known, err := isKnown(ctx, repo, files)
	if err != nil || !known {
		return err
	}
	strays, err := collector.Strays(ctx, files, view.straysRemoved)
	view.Strays = filesView(strays)
	return err
}

// isKnown tells whether an upload has its shards in this store.
func isKnown(ctx context.Context, repo *repository, files *store.Directory) (bool, error) {
	marker, err := files.Marker(ctx)
	if err != nil || marker == "" {
		return false, err
	}
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{})
	for _, upload := range uploads {
		if upload.Store == marker {
			return true, err
		}
	}
	return false, err
}

func (v *gcView) text(w io.Writer) {
	for _, space := range v.Spaces {
		fmt.Fprintf(w, "space %s: %s\n", printable(space.Space), space.describe(v.DryRun))
	}
	if len(v.Spaces) == 0 {
		fmt.Fprintln(w, "no removed uploads")
	}
	verb := "removed"
	if v.DryRun {
		verb = "found"
	}
	fmt.Fprintf(w, "%s %d temporary files that nobody will finish\n", verb, v.Temporary)
	switch {
	case v.straysRemoved:
		fmt.Fprintf(w, "removed %d files that no shard names, %s\n", v.Strays.Files, progress.Bytes(v.Strays.Bytes))
	case v.Strays.Files > 0:
		fmt.Fprintf(w, "%d files of the store, %s, are named by no shard of this repository: --strays removes them, if no "+
			"other repository has this store\n", v.Strays.Files, progress.Bytes(v.Strays.Bytes))
	}
	if v.Vacuumed {
		fmt.Fprintln(w, "the database file has given its unused space back")
	}
	if v.DryRun {
		fmt.Fprintln(w, "nothing was changed: --yes does it")
	}
}
