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
	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const prepareHelp = `Prepare turns PATH into CAR shards and a root CID. An interrupted run is resumed
from what was committed. After a complete run, the next one reads only what is
new or changed.`

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

		if !dry {
			if err := a.refuseListFlags("--dry-run"); err != nil {
				return err
			}
		}
		if err := checkTags(a.tags); err != nil {
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

	expandArgs(command, config.ExpandPath, 0)
	a.addPrepareFlags(command)
	command.Flags().BoolVar(&dry, "dry-run", false, "print what would be read and why, and change nothing")
	a.addRowFlags(command)
	command.Flags().String("space", "", "`NAME` or DID of the space (default \"default\"); a new name adds a space")

	return command
}

// addPrepareFlags adds the flags that prepare and upload share.
func (a *app) addPrepareFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false

	flags.String("store", "", "send shards to `STORE`: a name, a directory or an s3:// URL; none: keeps nothing "+
		"(default: the store of the space)")
	flags.BoolVar(&a.always, "always", false,
		"make an upload even if nothing has changed since the latest complete one")
	flags.BoolVar(&a.storeAgain, "store-again", false,
		"store all content again if the source's latest upload is in another store")
	flags.StringArrayVar(&a.replicas, "replica", nil,
		"send shards to the store with this `NAME`, too, now and in later runs of the space; may be repeated")
	flags.StringArrayVar(&a.tags, "tag", nil, "give the upload this `TAG`; may be repeated")
	addStorePathFlag(flags)
	flags.String("shard-size", "", "at most `BYTES` in a shard, such as 64MiB (default 266338304)")
	flags.String("profile", "", "profile of the CIDs: `unixfs-v1-2025|guppy` (default unixfs-v1-2025)")

	flags.String("workers", "", "pack `N` shards at a time (default: the number of CPUs)")
	flags.String("read-ahead", "", "keep up to `N` reads under way for each shard (default 1024)")
	flags.Bool("piece-cid", false, "compute the piece CIDs of shards, which takes more CPU than everything else")
	flags.String("index-layout", "", "layout of indexes: `storacha|forge|spec` (default storacha)")
	flags.String("index-max-slices", "",
		"at most `N` slices in an index, which limits the blocks of a shard (default 26000)")

	addSourceFlags(command)
	a.addAcceptFlag(command)

	flags.String("on-error", "",
		"if an entry can't be prepared, `fail|skip`: the upload stays incomplete, or is completed without it "+
			"(default fail)")
	flags.Bool("reread", false, "read all content again, even of files that seem unchanged")
	flags.Bool("ignore-inode", false,
		"treat a file as unchanged even if its inode differs, for file systems that make inodes up")
	flags.Bool("ignore-ctime", false,
		"treat a file as unchanged even if its ctime differs, for file systems that make ctimes up")
	flags.String("mtime-window", "",
		"treat modification times that differ by at most `DURATION` as equal (default 0s)")
}

// addSourceFlags adds the flags for the options that are kept with a source.
func addSourceFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringArray("exclude", nil,
		"leave out what matches `GLOB`, as in .gitignore; may be repeated; stored with the source")
	flags.String("exclude-file", "", "leave out what matches a line of `FILE`, as in .gitignore; stored with the source")
	flags.String("symlinks", "", "`preserve|follow|skip` symbolic links (default preserve); stored with the source")
}

func (a *app) prepare(ctx context.Context, cfg *config.Config, repo *repository, path string) error {
	// A misspelt name must not add a space.
	if err := a.refuseReplicas(ctx, cfg, repo); err != nil {
		return err
	}

	summary, err := a.preparePath(ctx, cfg, repo, path)
	if err != nil {
		return err
	}
	if err := a.print(summary, summary.text); err != nil {
		return err
	}
	return summary.err()
}

// preparePath prepares a path. It registers the source, and the space if the name is new.
func (a *app) preparePath(ctx context.Context, cfg *config.Config, repo *repository, path string) (*report, error) {
	var refusing errgroup.Group
	refusing.Go(func() error { return refuseStore(ctx, cfg, repo, path) })

	name := cfg.Prepare.Space
	space, err := repo.FindSpace(ctx, name)
	if err := refusing.Wait(); err != nil {
		return nil, err
	}

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
	if string(registered.Path) == path { // it was looked at already
		return a.runAllowed(ctx, cfg, repo, space, registered)
	}
	return a.runSource(ctx, cfg, repo, space, registered)
}

// addSpaceWith adds a space with a path as its first source.
func (a *app) addSpaceWith(ctx context.Context, cfg *config.Config, repo *repository, name,
	path string) (space sqlrepo.Space, source sqlrepo.Source, err error) {
	if err := checkSpaceName(name); err != nil {
		return space, source, err
	}
	options, err := configuredOptions(cfg)
	if err != nil {
		return space, source, err
	}

	source = sqlrepo.Source{Name: sourceName(path), Path: []byte(path), SourceOptions: options}
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
