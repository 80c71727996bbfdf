package main

import (
	"bufio"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

const dumpHelp = `Dump writes every row as a JSON object on a line of its own, in an order that
depends only on the content. The same work gives the same lines on every engine,
except for times and generated DIDs.`

func (a *app) dumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dump",
		Short: "Write all rows of the repository as JSON lines",
		Long:  dumpHelp,
		Args:  usageArgs(cobra.NoArgs),
		RunE: a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository, _ []string) error {
			rows := newTransferring("dumping")
			defer a.showBeside(ctx, rows.state)()

			out := bufio.NewWriter(a.stdout)
			return errors.Join(copying.New(repo.Repository).Reporting(rows.report).Dump(ctx, out), out.Flush())
		}),
	}
}
