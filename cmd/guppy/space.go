package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/identity"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const spaceLsHelp = `Ls lists the spaces with the largest size of their shards and their replicas.`

func (a *app) spaceCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "space", Short: "Add, list, change and remove spaces", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	add := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a space with a new did:key",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: a.openingCommand(making, func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			if err := checkSpaceName(args[0]); err != nil {
				return err
			}

			space, err := a.addSpace(cfg, args[0], func(fresh sqlrepo.Space) (sqlrepo.Space, error) {
				return repo.AddSpace(ctx, fresh)
			})

			if errors.Is(err, sqlrepo.ErrExists) {
				return fmt.Errorf("space %q: %w", args[0], sqlrepo.ErrExists)
			}
			if err != nil {
				return err
			}

			return a.print(newSpaceView(space), newSpaceView(space).text)
		}),
	}

	add.Flags().String("shard-size", "", "at most `BYTES` in a shard, such as 64MiB (default 266338304)")

	list := &cobra.Command{
		Use: "ls", Short: "List spaces", Long: spaceLsHelp, Args: usageArgs(cobra.NoArgs),
		RunE: a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository, _ []string) error {
			spaces, err := repo.Spaces(ctx)
			if err != nil {
				return err
			}

			views := make([]spaceView, len(spaces))
			for i, space := range spaces {
				views[i] = newSpaceView(space)
				if views[i].Replicas, err = spaceReplicas(ctx, repo, space); err != nil {
					return err
				}
			}
			return spaceList.rows(a, views)
		}),
	}

	a.addListFlags(list)
	command.AddCommand(add, list, a.spaceRenameCommand(), a.spaceSetCommand(), a.spaceRmCommand())
	return command
}

// spaceView is a space.
type spaceView struct {
	spaceRef
	ShardSize int64    `json:"shard_size"`    // largest size of a shard of later uploads, in bytes
	Replicas  []string `json:"replica_names"` // stores that its shards are sent to as well
	CreatedAt instant  `json:"created_at"`    // when the space was added
}

func newSpaceView(s sqlrepo.Space) spaceView {
	return spaceView{
		spaceRef: newSpaceRef(s), ShardSize: s.ShardSize, Replicas: []string{}, CreatedAt: formatTime(s.CreatedAt),
	}
}

func (v spaceView) text(w io.Writer) {
	fmt.Fprintf(w, "%s  %s  shards of at most %s%s\n", v.SpaceDID, printable(v.Space), progress.Bytes(v.ShardSize),
		replicasNote(v.Replicas))
}

var spaceList = list[spaceView]{
	name: "spaces", empty: "no spaces yet: guppy prepare PATH adds one",
	columns: []column[spaceView]{
		{"SPACE", func(v spaceView) string { return printable(v.Space) }, words},
		{"DID", func(v spaceView) string { return string(v.SpaceDID) }, identifier},
		{"SHARD SIZE", func(v spaceView) string { return progress.Bytes(v.ShardSize) }, number},
		{"REPLICAS", func(v spaceView) string { return strings.Join(v.Replicas, ", ") }, words},
		{"CREATED (UTC)", func(v spaceView) string { return v.CreatedAt.short() }, whole},
	},
}

// addSpace creates a key, then the space with add. It removes the key again if the space surely does not exist.
// If that is unknown, as after a lost connection or a kill, the key stays, and guppy check reports it.
func (a *app) addSpace(cfg *config.Config, name string,
	add func(sqlrepo.Space) (sqlrepo.Space, error)) (sqlrepo.Space, error) {
	key, err := identity.Create(cfg.Repo.DataDir)
	if err != nil {
		return sqlrepo.Space{}, err
	}

	space, err := add(sqlrepo.Space{DID: sqlrepo.DID(key.DID), Name: name, ShardSize: cfg.Prepare.ShardSize})
	if err != nil {
		return space, errors.Join(err, a.giveUpKey(key, err))
	}

	a.newKey = key.File
	a.log.Info("added the space", "name", name, "did", space.DID, "key", key.File)
	return space, nil
}

// giveUpKey removes the key of a space that could not be added, unless the space may exist all the same.
func (a *app) giveUpKey(key identity.Key, failure error) error {
	if isAny(failure, []error{sqlrepo.ErrUnavailable, context.Canceled, context.DeadlineExceeded}) {
		a.log.Warn("the space may have been added nevertheless: its key is kept", "did", key.DID, "key", key.File)
		return nil
	}
	return key.Remove()
}
