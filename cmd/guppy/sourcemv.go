package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const sourceMvHelp = `Mv records that a source, given by its name or its old path, is at PATH now. It
moves no files. The source keeps its name, options and uploads, and guppy
prepare PATH and guppy upload go on with it there.

PATH must be there, and one of the first files of the last scan must be in it
unchanged: same length, time of modification and place. --accept-source takes
PATH as it is.

The next run reads what it would read at the old path: what is new or changed.
If the directory was renamed, or its file system mounted elsewhere, that is
nothing. A copy has other inodes and ctimes, so all files of a copy are read
again, though nothing is stored twice. If the copy has kept the times (cp -a,
rsync -a), prepare it once with --ignore-inode --ignore-ctime to read nothing
again. Later runs need no flags.`

func (a *app) sourceMvCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "mv SPACE SOURCE PATH", Short: "Record that a source is at another path now", Long: sourceMvHelp,
		Args: usageArgs(cobra.ExactArgs(3)),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}

			registered, err := findSource(ctx, repo, space, args[1])
			if err != nil {
				return err
			}

			path, err := sourcePath(cfg, args[2])
			if err != nil {
				return err
			}
			return a.moveSource(ctx, cfg, repo, space, registered, path)
		}),
	}

	expandArgs(command, config.ExpandPath, 2)
	a.addAcceptFlag(command)
	return command
}

func (a *app) moveSource(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	registered sqlrepo.Source, path string) error {
	// This is said before what is at the path, because it can't be accepted.
	other, err := repo.FindSource(ctx, space.ID, path)
	if err == nil && other.ID != registered.ID && string(other.Path) == path {
		return fmt.Errorf("%s is the source %q: %w", path, other.Name, sqlrepo.ErrExists)
	}
	if err != nil && !errors.Is(err, sqlrepo.ErrNotFound) {
		return err
	}

	held, files, err := a.hold(ctx, cfg, repo, registered, path, registered.SourceOptions)
	if err != nil {
		return err
	}
	defer held.Close() //nolint:errcheck // nothing was written

	if !a.acceptSource {
		if err := a.verifyMoved(ctx, repo, registered, files, held); err != nil {
			return err
		}
	}

	err = repo.MoveSource(ctx, registered, []byte(path))
	if errors.Is(err, sqlrepo.ErrExists) {
		return fmt.Errorf("%s is another source of space %q, perhaps a removed one: %w", path, space.Name, sqlrepo.ErrExists)
	}
	if err != nil {
		return err
	}

	registered.Path = []byte(path)
	return a.print(newSourceView(space, registered), newSourceView(space, registered).text)
}

// verifyMoved returns pipeline.ErrAnotherSource, with advice, for what is not the source as it was scanned.
func (a *app) verifyMoved(ctx context.Context, repo *repository, registered sqlrepo.Source, files source.FS,
	held *source.Held) error {
	err := pipeline.VerifyMoved(ctx, repo, registered, files, held)
	if errors.Is(err, pipeline.ErrAnotherSource) {
		err = fmt.Errorf("%w: check the path, or accept what is there with --%s", err, acceptSource)
	}
	return err
}
