package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
)

const statusHelp = `Status shows how far an upload is, complete or not, or all unfinished ones: its stage, what is done,
rate and time left, who works on it, and what was set aside. It changes nothing. Ages are by the database's clock.

With --watch it shows that again and again, with less than a query a second, until it is interrupted, or until
nobody has anything left to do for the UPLOAD that is named. Either way it ends with 0.

With --json it prints one object, with --watch one a line:
  time      when it was so (times are RFC 3339 in UTC)
  uploads   list of uploads, each with
    upload, space, source, state, profile, started_at, finished_at, root_cid
    stage_began_at                                 when it came to its present stage
    entries, linked_entries                        found by the scan, and linked so far
    files, files_total, bytes, bytes_total         of the files that have to be packed: done and in all
    shards, shards_total, shards_set_aside         of the shards that hold them
    bytes_per_second, seconds_left                 while it packs; seconds_left is absent when it can't be told
    ended                                          nobody has anything left to do for it
    workers     list of host, pid, work, began_at, seen_at (last heartbeat), silent_seconds, bytes, and
                lease_ended: true for one that was not heard of for so long that others may take its work
    set_aside   list of work that was given up, with attempts, error and at
    retries     list of work that failed and is tried again, with attempts, error and at (the earliest time; absent
                when it is being tried)
Work is "shard N", or the name of a stage. Sizes are in bytes.`

func (a *app) statusCommand() *cobra.Command {
	watch := false
	command := &cobra.Command{
		Use: "status [UPLOAD]", Short: "Show how far uploads are, and who works on them", Long: statusHelp,
		Args: usageArgs(cobra.MaximumNArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
	}

	command.RunE = func(cmd *cobra.Command, args []string) error {
		upload, err := uploadKey(args)
		if err != nil {
			return err
		}

		return a.repositoryCommand(func(ctx context.Context, _ *config.Config, repo *repository, _ []string) error {
			status := newStatus(repo.Repository, upload)
			if watch {
				return a.watch(ctx, status)
			}

			view, err := status.sample(ctx)
			if err != nil {
				return err
			}

			return a.print(view, view.text)
		})(cmd, args)
	}

	command.Flags().BoolVar(&watch, "watch", false, "show it again and again")
	return command
}

// uploadKey parses the number of an upload. It returns nil if there is no argument.
func uploadKey(args []string) (*int64, error) {
	if len(args) == 0 {
		return nil, nil
	}
	key, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil || key < 1 {
		return nil, fmt.Errorf("%w: %q is no upload: guppy upload ls lists them by number", errUsage, args[0])
	}
	return &key, nil
}
