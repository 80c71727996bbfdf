package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/identity"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const spaceRenameHelp = `Rename gives a space another name. Its DID, key, sources and uploads stay.

Scripts and configurations that have the old name need the new one: guppy
prepare --space OLD would add a new space, and so would guppy prepare without
--space after a renaming of the space "default": which one that is, is the
setting prepare.space.`

func (a *app) spaceRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rename SPACE NEW", Short: "Give a space another name", Long: spaceRenameHelp,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			if err := checkSpaceName(args[1]); err != nil {
				return err
			}

			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}

			err = repo.RenameSpace(ctx, space, args[1])
			if errors.Is(err, sqlrepo.ErrExists) {
				return fmt.Errorf("space %q: %w", args[1], sqlrepo.ErrExists)
			}
			if err != nil {
				return err
			}
			if space.Name == cfg.Prepare.Space {
				a.log.Warn("guppy prepare without --space would add a new space of the old name, with another key: set "+
					"prepare.space in the configuration (guppy config show), or GUPPY_PREPARE_SPACE, to the new one",
					"old", space.Name, "new", args[1])
			}
			return a.printSpace(ctx, repo, args[1])
		}),
	}
}

const spaceSetHelp = `Set changes how later uploads of a space are stored.

--shard-size changes the size of their shards. Shards that are there stay as
they are, and an unfinished upload whose shards are planned keeps its size. The
flag --shard-size of guppy prepare and guppy upload is for one upload, and goes
before the size of the space.

--replica makes a store a replica of the space: guppy prepare, guppy upload and
guppy worker send all shards and indexes of the space there, too, also those of
earlier uploads. --no-replica ends that. What was sent stays there; guppy gc
--strays --yes removes what nothing else needs.`

func (a *app) spaceSetCommand() *cobra.Command {
	var add, remove []string
	command := &cobra.Command{
		Use: "set SPACE", Short: "Change the shard size and the replicas of a space",
		Long: spaceSetHelp, Args: usageArgs(cobra.ExactArgs(1)),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			sized := cfg.ByFlag("prepare.shard_size")
			if !sized && len(add)+len(remove) == 0 {
				return fmt.Errorf("%w: nothing to set: name a --shard-size, --replica or --no-replica", errUsage)
			}

			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}

			if err := a.setReplicas(ctx, cfg, repo, space, add, remove); err != nil {
				return err
			}
			if sized {
				if err := repo.SetShardSize(ctx, space.ID, cfg.Prepare.ShardSize); err != nil {
					return err
				}
			}
			return a.printSpace(ctx, repo, string(space.DID))
		}),
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.String("shard-size", "", "at most `BYTES` in a shard, such as 64MiB")
	flags.StringArrayVar(&add, "replica", nil, "send shards to the store with this `NAME`, too; may be repeated")
	flags.StringArrayVar(&remove, "no-replica", nil, "send no shards to the store with this `NAME`; may be repeated")
	addStorePathFlag(flags)
	return command
}

// setReplicas adds and removes replicas of a space.
func (a *app) setReplicas(ctx context.Context, cfg *config.Config, repo *repository, space sqlrepo.Space,
	add, remove []string) error {
	stores, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return err
	}
	for _, name := range add {
		if slices.Contains(remove, name) {
			return fmt.Errorf("%w: both --replica and --no-replica name store %q", errUsage, name)
		}
	}
	added, err := rows.replicas(add)
	if err != nil {
		return err
	}
	if err := addReplicas(ctx, repo, stores, space, space.Store, added); err != nil {
		return err
	}

	removed, err := rows.replicas(remove)
	if err != nil {
		return err
	}
	for _, row := range removed {
		err := repo.RemoveSpaceReplica(ctx, sqlrepo.SpaceReplica{Space: space.ID, Store: row.Identity})
		if errors.Is(err, sqlrepo.ErrNotFound) {
			err = fmt.Errorf("store %q is no replica of space %q: guppy space ls lists its replicas", row.Name, space.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// printSpace prints a space as it is now.
func (a *app) printSpace(ctx context.Context, repo *repository, nameOrDID string) error {
	space, err := repo.FindSpace(ctx, nameOrDID)
	if err != nil {
		return err
	}
	view := newSpaceView(space)
	if view.Replicas, err = spaceReplicas(ctx, repo, space); err != nil {
		return err
	}
	return a.print(view, view.text)
}

const spaceRmHelp = `Rm removes a space that has neither sources nor uploads. The file with its
private key stays, and the output says where. guppy check prints a note about
such a key until the file is deleted or moved away.`

func (a *app) spaceRmCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rm SPACE", Short: "Remove a space that has neither sources nor uploads", Long: spaceRmHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}
			if err := refuseUsedSpace(ctx, repo, space); err != nil {
				return err
			}

			keys, err := identity.Keys(cfg.Repo.DataDir)
			if err != nil {
				return err
			}

			// Something may have been added since.
			if err := repo.RemoveSpace(ctx, space.ID); err != nil {
				return fmt.Errorf("space %q: %w", space.Name, err)
			}

			view := removedSpace{newSpaceRef(space), keys[string(space.DID)]}
			return a.print(view, view.text)
		}),
	}
}

// refuseUsedSpace returns an error that lists what a space has, and how to remove it.
func refuseUsedSpace(ctx context.Context, repo *repository, space sqlrepo.Space) error {
	sources, err := repo.Sources(ctx, space.ID)
	if err != nil {
		return err
	}
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space.ID})
	if err != nil {
		return err
	}

	var present, commands []string
	if n := len(sources); n > 0 {
		present = append(present, plural(int64(n), "source"))
		for _, source := range sources[:min(n, mostNamed)] {
			commands = append(commands, "guppy source rm "+arguments(space.Name, source.Name))
		}
	}

	remaining := make([]string, 0, len(uploads))
	for _, upload := range uploads {
		if upload.State != sqlrepo.Removed {
			remaining = append(remaining, fmt.Sprint(upload.ID))
		}
	}
	if n := len(remaining); n > 0 {
		present = append(present, plural(int64(n), "upload"))
		commands = append(commands, "guppy upload rm "+strings.Join(remaining[:min(n, mostNamed)], " "))
	}

	if n := len(uploads) - len(remaining); n > 0 {
		present = append(present, "what is left of "+plural(int64(n), "removed upload"))
		commands = append(commands, "guppy gc --yes")
	}

	if len(present) == 0 {
		return nil
	}
	return fmt.Errorf("space %q has %s: remove them first (%s)", space.Name, strings.Join(present, ", "),
		strings.Join(commands, "; "))
}

// mostNamed limits the number of things that one error names.
const mostNamed = 5

// removedSpace is the output of space rm.
type removedSpace struct {
	spaceRef
	Key string `json:"key_file,omitempty"` // file of the private key, if this host has it
}

func (v removedSpace) text(w io.Writer) {
	fmt.Fprintf(w, "removed space %s (%s)\n", printable(v.Space), v.SpaceDID)
	fmt.Fprintf(w, "its private key stays in %s\n", printable(cmp.Or(v.Key, "the data directory of another host")))
}
