package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
)

const statusHelp = `Status shows the progress of an upload, complete or not, or of all unfinished
uploads: stage, work done, rate and time left, who works on it, and what was set
aside. Then it shows what each replica lacks, and what is being sent there. It
changes nothing. Ages are measured by the database's clock.

` + uploadHelp + `

With --watch it updates that repeatedly, with less than one query a second,
until it is interrupted or, if UPLOAD is given, no work is left for it. The exit
code is 0 either way.

With --json it prints one object, with --watch one per line:
  time      time of the sample (times are RFC 3339 in UTC)
  uploads   list of uploads, each with
    upload, space, source, state, profile, started_at, finished_at, root_cid
    stage_began_at    when the present stage began
    entries, linked_entries
                      found by the scan, and linked so far
    files, files_total, bytes, bytes_total
                      of the files to pack: done so far, and in all
    shards, shards_total, shards_set_aside
                      of the shards that hold these files
    bytes_per_second, seconds_left
                      while it packs; seconds_left is absent if unknown
    ended             true if no work is left
    workers           list of host, pid, work, began_at, seen_at (of the last
                      heartbeat), silent_seconds, bytes, and lease_ended, true
                      if the worker was silent for so long that others may take
                      over its work
    set_aside         list of work that was given up: work, attempts, error, at
    retries           list of failed work that is tried again: work, attempts,
                      error, at (the earliest time; absent while it is tried)
  replicas  list of what replicas lack, each with
    name, of          the replica, and the store that it is a replica of
    space             the space that it is a replica of, instead of a store
    missing_files, missing_bytes, synced_at
    workers, set_aside, retries
                      of the files that are sent there, as above
Work is "shard N", the name of a stage, or the name of a file that is sent to a
replica. Sizes are in bytes.`

func (a *app) statusCommand() *cobra.Command {
	watch := false
	command := &cobra.Command{
		Use: "status [UPLOAD]", Short: "Show the progress of uploads, and who works on them", Long: statusHelp,
		Args: usageArgs(cobra.MaximumNArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
	}

	command.RunE = a.repositoryCommand(func(ctx context.Context, _ *config.Config, repo *repository,
		args []string) error {
		var upload *int64
		if len(args) == 1 {
			key, err := findUpload(ctx, repo, args[0])
			if err != nil {
				return err
			}
			upload = &key
		}

		sampler := newStatusSampler(repo.Repository, upload)
		if watch {
			return a.watch(ctx, sampler)
		}

		view, err := sampler.sample(ctx)
		if err != nil {
			return err
		}
		return a.print(view, view.text)
	})

	command.Flags().BoolVar(&watch, "watch", false, "update the output repeatedly")
	return command
}
