package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/export"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

const exportHelp = `Export writes the DAG below a root or a path as one CAR file (version 1). The
header names the root, and each block comes once, depth first, before the blocks
below it. FILE appears only when it is complete and synced. Until then its
content is beside it in .NAME.*.part, which a killed run leaves behind. If FILE
is a symlink, the file that it leads to is replaced; a device or FIFO is written
into.

` + contentHelp + `

Export needs about 50 bytes of memory for each block.`

func (a *app) exportCommand() *cobra.Command {
	out := ""
	command := &cobra.Command{
		Use: "export UPLOAD|CID[/PATH] -o FILE.car", Short: "Write a DAG as one CAR file", Long: exportHelp,
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
	}

	command.RunE = func(cmd *cobra.Command, args []string) error {
		if out == "" {
			return fmt.Errorf("%w: no output is named: use -o FILE.car, or -o - for standard output", errUsage)
		}
		if file, ok := a.stdout.(*os.File); ok && out == "-" && term.IsTerminal(int(file.Fd())) {
			return fmt.Errorf("%w: a CAR is not written to a terminal: use -o FILE.car or a pipe", errUsage)
		}

		return a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			return a.withBlocks(ctx, cfg, repo, func(source *blocks.Source) error {
				if out != "-" {
					if err := refuseOwnOutput(cfg, out); err != nil {
						return err
					}
				}

				named, err := findContent(ctx, repo, args[0])
				if err != nil {
					return err
				}
				return a.export(ctx, source, export.Exporter{Blocks: source, Workers: workers(cfg)}, named.Path, out)
			})
		})(cmd, args)
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVarP(&out, "output", "o", "", "write to `FILE`, or to standard output if it is -")
	flags.String("workers", "", "read `N` blocks at a time (default: the number of CPUs)")
	addShardFlags(flags)

	return command
}

func (a *app) export(ctx context.Context, source *blocks.Source, e export.Exporter, path tree.Path,
	out string) error {
	found, err := resolve(ctx, source, path)
	if err != nil {
		return err
	}
	root := found.Node.CID

	// A file gets its name only when it is whole. A pipe has no such moment.
	if out == "-" {
		_, err := e.Run(ctx, root, a.stdout)
		return err
	}
	var sum export.Summary
	err = replaceFile(out, func(w io.Writer) (err error) {
		sum, err = e.Run(ctx, root, w)
		return err
	})
	if err != nil {
		return err
	}

	view := exportView{root.String(), sum.Blocks, sum.Bytes}
	return a.print(view, view.text)
}

// exportView is the output of export.
type exportView struct {
	RootCID string `json:"root_cid"`    // root of the DAG
	Blocks  int64  `json:"block_count"` // number of its blocks
	Bytes   int64  `json:"bytes"`       // size of the CAR file
}

func (v exportView) text(w io.Writer) {
	fmt.Fprintf(w, "exported  %s: %s, %s\n", v.RootCID, plural(v.Blocks, "block"), progress.Bytes(v.Bytes))
}
