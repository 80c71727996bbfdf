package main

import (
	"bufio"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

const dumpHelp = `Dump writes all rows, a JSON object a line, in an order that depends on the content alone. The
same work gives the same lines on every engine, but for times, generated DIDs and locations.`

func (a *app) dumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dump",
		Short: "Write the logical content of the repository as JSON lines",
		Long:  dumpHelp,
		Args:  usageArgs(cobra.NoArgs),
		RunE: a.repositoryCommand(func(ctx context.Context, _ *config.Config, repo *repository, _ []string) error {
			out := bufio.NewWriter(a.stdout)
			return errors.Join(copying.New(repo.Repository).Dump(ctx, out), out.Flush())
		}),
	}
}
