package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/export"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

const exportHelp = `Export writes the DAG below a root or a path as one CAR file (version 1). The
header names the root, and each block comes once, depth first, before the blocks
below it. FILE appears only when it is complete and synced. Until then its
content is beside it in .NAME.*.part, which a killed run leaves behind. A FILE
that exists is only replaced with --force: if it is a symlink, the file that it
leads to. A device or FIFO is written into.

` + contentHelp + `

Export needs about 50 bytes of memory for each block.`

func (a *app) exportCommand() *cobra.Command {
	out := output{}
	command := &cobra.Command{
		Use: "export UPLOAD|CID[/PATH] -o FILE.car", Short: "Write a DAG as one CAR file", Long: exportHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
	}

	command.RunE = func(cmd *cobra.Command, args []string) error {
		if out.file == "" {
			return fmt.Errorf("%w: no output is named: use -o FILE.car, or -o - for standard output", errUsage)
		}
		if err := a.refuseTerminal(out, "a CAR"); err != nil {
			return err
		}

		return a.readingCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			return a.withBlocks(ctx, cfg, repo, func(source *blocks.Source) error {
				if err := out.refuseOwn(cfg, repo); err != nil {
					return err
				}

				named, err := findContent(ctx, repo, args[0])
				if err != nil {
					return err
				}
				a.resume.by(commandWith(cmd, named.name))
				return a.export(ctx, source, export.Exporter{Blocks: source, Workers: workers(cfg)}, named.Path, out)
			})
		})(cmd, args)
	}

	flags := command.Flags()
	flags.SortFlags = false
	out.addFlags(flags, "write to `FILE`, or to standard output if it is -")
	flags.String("workers", "", "read `N` blocks at a time (default: the number of CPUs)")
	addShardFlags(flags)

	return command
}

func (a *app) export(ctx context.Context, source *blocks.Source, e export.Exporter, path tree.Path,
	out output) error {
	e.Progress = progress.NewTask("exporting", "block")
	show := a.showProgress
	if out.isStdout() {
		show = a.showBeside
	}
	defer show(ctx, e.Progress.State)()

	found, err := resolve(ctx, source, path)
	if err != nil {
		return err
	}
	root := found.Node.CID

	var sum export.Summary
	err = a.writeTo(out, func(w io.Writer) (err error) {
		sum, err = e.Run(ctx, root, w)
		return err
	})
	// Standard output has the CAR.
	if err != nil || out.isStdout() {
		return err
	}

	view := exportView{root.String(), sum.Blocks, sum.Bytes}
	return a.printWithNext(view, view.text, "ipfs dag import "+shellQuoted(out.file))
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
