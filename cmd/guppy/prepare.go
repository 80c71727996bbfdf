package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const prepareHelp = `Prepare turns PATH into CAR shards and a root CID. An interrupted run is resumed from what is
committed; after a complete one, the next run reads only what is new or changed.`

func (a *app) prepareCommand() *cobra.Command {
	dry := false
	command := &cobra.Command{
		Use:   "prepare PATH",
		Short: "Prepare a directory or a file",
		Long:  prepareHelp,
		Args:  usageArgs(cobra.ExactArgs(1)),
	}

	command.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := a.load(cmd)
		if err != nil {
			return err
		}

		path, err := sourcePath(cfg, args[0])
		// The path may belong to a file system that is not mounted now.
		if errors.Is(err, fs.ErrNotExist) {
			return a.missing(cmd.Context(), cfg, args[0], err)
		}
		if err != nil {
			return err
		}

		if dry {
			return a.dryRun(cmd.Context(), cfg, path)
		}

		return a.withRepository(cmd.Context(), cfg, making, func(repo *repository) error {
			return warmed(cmd.Context(), repo, func() error { return a.prepare(cmd.Context(), cfg, repo, path) })
		})
	}

	a.addPrepareFlags(command)
	command.Flags().BoolVar(&dry, "dry-run", false, "say what would be read and why, and change and make nothing")
	command.Flags().String("space", "", "`NAME` or DID of the space (default \"default\"); a name that is new is added")

	return command
}

// addPrepareFlags adds the flags that prepare and upload share.
func (a *app) addPrepareFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false

	flags.String("store", "", storeUsage)
	flags.String("shard-size", "", "most `BYTES` of a shard, such as 64MiB (default 266338304)")
	flags.String("profile", "", "recipe of the CIDs: `unixfs-v1-2025|guppy` (default unixfs-v1-2025)")

	flags.String("workers", "", "`N` shards are packed side by side (default: the number of CPUs)")
	flags.String("read-ahead", "", "`N` reads are under way for each shard (default 1024)")
	flags.Bool("piece-cid", false, "compute the piece CIDs of shards, which takes more CPU than all else")
	flags.String("index-layout", "", "how indexes of shards are laid out: `storacha|forge|spec` (default storacha)")
	flags.String("index-max-slices", "", "most `N` slices of an index, which limits the blocks of a shard (default 26000)")

	addSourceFlags(command)
	a.addAcceptFlag(command)

	flags.String("on-error", "",
		"`fail|skip`: whether an entry that can't be prepared keeps the upload incomplete (default fail)")
	flags.Bool("reread", false, "read all content again, also of files that seem to be unchanged")
	flags.Bool("ignore-inode", false,
		"take a file for unchanged though its inode differs: for file systems that make inodes up")
	flags.Bool("ignore-ctime", false,
		"take a file for unchanged though its ctime differs: for file systems that make ctimes up")
	flags.String("mtime-window", "",
		"times of modification that lie no more than `DURATION` apart are the same (default 0s)")
}

// addSourceFlags adds the flags for the options that are kept with a source.
func addSourceFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringArray("exclude", nil,
		"leave out what matches `GLOB`, as in .gitignore; may be repeated; kept with the source")
	flags.String("exclude-file", "", "leave out what matches a line of `FILE`, as in .gitignore; kept with the source")
	flags.String("symlinks", "", "`preserve|follow|skip` symbolic links (default preserve); kept with the source")
}

func (a *app) prepare(ctx context.Context, cfg *config.Config, repo *repository, path string) error {
	report, err := a.preparePath(ctx, cfg, repo, path)
	if err != nil {
		return err
	}
	if err := a.print(report, report.text); err != nil {
		return err
	}
	return report.err()
}

// preparePath prepares a path. It registers the source, and the space if the name is new.
func (a *app) preparePath(ctx context.Context, cfg *config.Config, repo *repository, path string) (*report, error) {
	name := cfg.Prepare.Space
	space, err := repo.FindSpace(ctx, name)

	// Only a name makes a new space, because the DID of a space can't be chosen.
	if errors.Is(err, sqlrepo.ErrNotFound) && !strings.HasPrefix(name, "did:") {
		var source sqlrepo.Source
		if space, source, err = a.addSpaceWith(ctx, cfg, repo, name, path); err == nil {
			return a.runKnown(ctx, cfg, repo, space, source, nil)
		}

		if errors.Is(err, sqlrepo.ErrExists) {
			// Another process has just added the space.
			space, err = repo.FindSpace(ctx, name)
		}
	}
	if err != nil {
		return nil, err
	}

	registered, err := a.findOrAddSource(ctx, cfg, repo, space, path)
	if err != nil {
		return nil, err
	}
	return a.runSource(ctx, cfg, repo, space, registered)
}

// addSpaceWith adds a space with a path as its first source.
func (a *app) addSpaceWith(ctx context.Context, cfg *config.Config, repo *repository, name,
	path string) (space sqlrepo.Space, source sqlrepo.Source, err error) {
	options, err := configuredOptions(cfg)
	if err != nil {
		return space, source, err
	}

	source = sqlrepo.Source{Name: filepath.Base(path), Path: []byte(path), SourceOptions: options}
	space, err = a.addSpace(cfg, name, func(fresh sqlrepo.Space) (added sqlrepo.Space, err error) {
		added, source, err = repo.AddSpaceWith(ctx, fresh, source)
		return added, err
	})

	return space, source, err
}

// sourcePath makes a path absolute. It returns an error if there is nothing to prepare at the path.
func sourcePath(cfg *config.Config, path string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("%w: the path is empty", errUsage)
	}

	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUsage, err)
	}

	info, err := os.Stat(absolute)
	if err != nil {
		return "", fmt.Errorf("%w: nothing to prepare: %w", errUsage, err)
	}

	if !info.IsDir() && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%w: %s is neither a directory nor a file", errUsage, path)
	}
	return absolute, refuseOwnFiles(cfg, absolute)
}

// refuseOwnFiles returns an error for a source in the data directory and for the store itself.
func refuseOwnFiles(cfg *config.Config, path string) error {
	own, err := ownFiles(cfg)
	if err != nil {
		return err
	}
	if err := source.RefuseWithin(path, own...); err != nil {
		return err
	}

	in, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}

	if own, err := os.Stat(cfg.Prepare.StoreDirectory()); err == nil && os.SameFile(in, own) {
		return fmt.Errorf("%w: %s is the store of the shards", errUsage, path)
	}
	return nil
}

// findOrAddSource returns the source registered for a path, or registers it with the configured options.
func (a *app) findOrAddSource(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	path string) (sqlrepo.Source, error) {
	registered, err := repo.FindSource(ctx, space.ID, path)
	if !errors.Is(err, sqlrepo.ErrNotFound) {
		return registered, err
	}
	options, err := configuredOptions(cfg)
	if err != nil {
		return registered, err
	}
	return a.addSource(ctx, repo, space, path, "", options)
}

// configuredOptions returns the options of a new source.
func configuredOptions(cfg *config.Config) (sqlrepo.SourceOptions, error) {
	excludes, err := configuredExcludes(cfg)
	return sqlrepo.SourceOptions{Excludes: excludes, SymlinkPolicy: cfg.Prepare.Symlinks}, err
}

// changedOptions returns the options of a registered source, changed as flags say.
func changedOptions(cfg *config.Config, options sqlrepo.SourceOptions) (sqlrepo.SourceOptions, error) {
	if cfg.ByFlag("prepare.symlinks") {
		options.SymlinkPolicy = cfg.Prepare.Symlinks
	}
	if cfg.ByFlag("prepare.exclude") || cfg.ByFlag("prepare.exclude_file") {
		excludes, err := configuredExcludes(cfg)
		options.Excludes = excludes
		return options, err
	}
	return options, nil
}

func configuredExcludes(cfg *config.Config) (excludes sqlrepo.Lines, err error) {
	if cfg.Prepare.ExcludeFile != "" {
		if excludes, err = source.ReadExcludeFile(cfg.Prepare.ExcludeFile); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUsage, cfg.Origin("prepare.exclude_file"), err)
		}
	}
	excludes = append(excludes, cfg.Prepare.Exclude...)
	if _, err = source.ParseExcludes(excludes); err != nil {
		err = fmt.Errorf("%s: %w", cfg.Origin("prepare.exclude"), err)
	}
	return excludes, err
}
