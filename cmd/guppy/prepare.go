package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func (a *app) prepareCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "prepare PATH",
		Short: "Prepare a directory or a file",
		Long: "Prepare turns PATH into CAR shards and a root CID. An interrupted run is resumed from what is committed; after\n" +
			"a complete one, the next run reads only what is new or changed.",
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	command.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := a.load(cmd)
		if err != nil {
			return err
		}
		path, err := sourcePath(cfg, args[0])
		if err != nil {
			return err
		}
		return a.withRepository(cmd.Context(), cfg, func(repo *repository) error {
			return a.prepare(cmd.Context(), cfg, repo, path)
		})
	}
	addPrepareFlags(command)
	command.Flags().String("space", "", "`NAME` or DID of the space (default \"default\"); a name that is new is added")
	return command
}

// addPrepareFlags adds what prepare and upload have in common.
func addPrepareFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false
	flags.String("store", "", "`DIR` that shards are written to (default: shards in the data directory)")
	flags.String("shard-size", "", "most `BYTES` of a shard, such as 64MiB (default 266338304)")
	flags.String("profile", "", "recipe of the CIDs: `unixfs-v1-2025|guppy` (default unixfs-v1-2025)")
	flags.String("workers", "", "`N` shards are packed side by side (default: the number of CPUs)")
	flags.String("read-ahead", "", "`N` reads are under way for each shard (default 16)")
	flags.StringArray("exclude", nil, "leave out what matches `GLOB`, in the syntax of .gitignore; may be repeated")
	flags.String("exclude-file", "", "leave out what matches a line of `FILE`, in the syntax of .gitignore")
	flags.String("symlinks", "", "`preserve|follow|skip` symbolic links (default preserve)")
	flags.String("on-error", "", "`fail|skip`: whether an entry that can't be prepared keeps the upload incomplete (default fail)")
}

func (a *app) prepare(ctx context.Context, cfg *config.Config, repo *repository, path string) error {
	space, err := a.findOrAddSpace(ctx, cfg, repo, cfg.Prepare.Space)
	if err != nil {
		return err
	}
	registered, err := a.findOrAddSource(ctx, cfg, repo, space, path)
	if err != nil {
		return err
	}
	report, err := a.runSource(ctx, cfg, repo, space, registered)
	if err != nil {
		return err
	}
	if err := a.print(report, report.text); err != nil {
		return err
	}
	return report.err()
}

// sourcePath makes a path absolute and looks whether there is anything to prepare.
func sourcePath(cfg *config.Config, path string) (string, error) {
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
	if err := source.RefuseWithin(absolute, cfg.Repo.DataDir, cfg.Prepare.Store); err != nil {
		return "", fmt.Errorf("%w: %w", errUsage, err)
	}
	return absolute, nil
}

// findOrAddSource registers a path in its space. Options that were given are kept with the source; else it keeps its own.
func (a *app) findOrAddSource(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	path string) (sqlrepo.Source, error) {
	registered, err := repo.FindSource(ctx, space.ID, path)
	if errors.Is(err, sqlrepo.ErrNotFound) {
		options, err := givenOptions(cfg, sqlrepo.SourceOptions{SymlinkPolicy: cfg.Prepare.Symlinks})
		if err != nil {
			return registered, err
		}
		return a.addSource(ctx, repo, space, path, "", options)
	}
	if err != nil {
		return registered, err
	}
	options, err := givenOptions(cfg, registered.SourceOptions)
	if err != nil {
		return registered, err
	}
	registered.SourceOptions = options
	return registered, repo.SetSourceOptions(ctx, registered.ID, options)
}

// givenOptions puts what the configuration says in place of what it says nothing of.
func givenOptions(cfg *config.Config, options sqlrepo.SourceOptions) (sqlrepo.SourceOptions, error) {
	if cfg.IsSet("prepare.symlinks") {
		options.SymlinkPolicy = cfg.Prepare.Symlinks
	}
	if cfg.IsSet("prepare.exclude") || cfg.IsSet("prepare.exclude_file") {
		options.Excludes = cfg.Prepare.Exclude
		if cfg.Prepare.ExcludeFile != "" {
			lines, err := source.ReadExcludeFile(cfg.Prepare.ExcludeFile)
			if err != nil {
				return options, fmt.Errorf("%w: exclude file: %w", errUsage, err)
			}
			options.Excludes = append(lines, options.Excludes...)
		}
	}
	_, err := source.ParseExcludes(options.Excludes)
	return options, err
}
