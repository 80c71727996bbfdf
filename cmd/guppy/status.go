package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
)

const statusHelp = `Status shows the progress of an upload, complete or not, or of all unfinished
uploads: stage, work done, rate and time left, who works on it, and what was set
aside. Then it shows each store, what it lacks as a replica, and what is being
sent there. It changes nothing. Ages are measured by the database's clock.

` + uploadHelp + `

With --watch it updates that repeatedly, with less than one query a second,
until it is interrupted or, if UPLOAD is given, no work is left for it. The exit
code is 0 either way. On a terminal it fills the screen, also with the
throughput of the last minutes: q, Esc or Ctrl-C quits; the arrow keys, PgUp and
PgDn scroll. If the database does not answer, the screen says so, and goes on
when it does.`

func (a *app) statusCommand() *cobra.Command {
	watch := false
	command := &cobra.Command{
		Use: "status [UPLOAD]", Short: "Show the progress of uploads, and who works on them", Long: statusHelp,
		Args: usageArgs(cobra.MaximumNArgs(1)),
	}

	command.RunE = a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository,
		args []string) error {
		var upload *int64
		if len(args) == 1 {
			key, err := findUpload(ctx, repo, args[0])
			if err != nil {
				return err
			}
			upload = &key
		}

		if watch {
			return a.watch(ctx, repo, upload)
		}

		sampler := newStatusSampler(repo.Repository, upload)
		sampler.standby = repo.standby
		view, err := sampler.sample(ctx)
		if err != nil {
			return err
		}
		if err := a.print(view, view.text); err != nil || len(view.Uploads) > 0 {
			return err
		}
		return a.sayAside(noUploads)
	})

	command.Flags().BoolVar(&watch, "watch", false, "update the output repeatedly")
	return command
}
