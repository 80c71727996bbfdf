package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/verify"
)

const verifyHelp = `Verify walks the DAG below a root and reports each block that is missing (its
shard is gone), damaged (its shard has other bytes), changed (no store keeps it,
and the source has something else by now), or not part of a well-formed tree,
with a path that leads to it, its shard and its offset there. The nodes above
the content of files are read and compared with their digests. The content is
only looked up in the rows and compared with the lengths of the shards, unless
--deep is given. Each distinct block is checked once, whichever shard has it.

` + contentHelp + `

Verify needs about 100 bytes of memory for each block. The exit code is 3 if
there are problems.`

func (a *app) verifyCommand() *cobra.Command {
	deep := false
	command := &cobra.Command{
		Use: "verify UPLOAD|CID[/PATH]", Short: "Find missing, damaged and changed blocks of a DAG", Long: verifyHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
	}

	command.RunE = a.readingCommand(func(ctx context.Context, cfg *config.Config, repo *repository,
		args []string) error {
		return a.withBlocks(ctx, cfg, repo, func(source *blocks.Source) error {
			named, err := findContent(ctx, repo, args[0])
			if err != nil {
				return err
			}
			return a.verify(ctx, verify.Verifier{Blocks: source, Deep: deep, Workers: workers(cfg)}, named)
		})
	})

	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&deep, "deep", false, "read every block, and compare it with its digest")
	flags.String("workers", "", "read `N` blocks at a time (default: the number of CPUs)")
	a.addRowFlags(command)
	addShardFlags(flags)

	return command
}

func (a *app) verify(ctx context.Context, v verify.Verifier, named content) error {
	v.Progress = progress.NewTask("verifying", "block")
	defer a.showProgress(ctx, v.Progress.State)()

	path := named.String()
	root, err := verifyRoot(ctx, v.Blocks, named)
	if err != nil {
		return err
	}

	stream := a.streamJSON()
	show := func(p verify.Problem) error {
		return a.printProblem(p, named.name+strings.TrimPrefix(p.Path, path), named.Root)
	}
	if a.json {
		show = func(p verify.Problem) error { return stream.element(p) }
		if err := stream.begin("problems"); err != nil {
			return err
		}
	}
	problems, err := brokenBlocks.printer(a, show)
	if err != nil {
		return err
	}

	v.Found = problems.row
	sum, err := v.Run(ctx, root, path)
	err = errors.Join(err, problems.end())
	switch {
	case a.json:
		err = errors.Join(err, stream.end(verifyEnd{finished{err == nil}, err == nil && sum.Problems == 0, sum}))
	case err == nil && !a.voice.quiet && a.listing.format == "":
		_, err = fmt.Fprintf(a.stdout, "%s: %s (%d above the content), %s\n", plural(sum.Problems, "problem"),
			plural(sum.Blocks, "block"), sum.Nodes, progress.Bytes(sum.Bytes))
	}

	if err != nil || sum.Problems == 0 {
		return err
	}
	return &unsoundDAG{sum.Problems}
}

// verifyOutput is the output of verify.
type verifyOutput struct {
	Problems []verify.Problem `json:"problems"` // blocks that are missing or wrong
	verifyEnd
}

type verifyEnd struct {
	finished
	Sound   bool           `json:"sound"`   // whether there are no problems
	Summary verify.Summary `json:"summary"` // what was looked at
}

// brokenBlocks lists problems, of which each is a line of text as soon as it is found.
var brokenBlocks = list[verify.Problem]{name: "problems"}

// printProblem prints a problem as a line, with short CIDs on a terminal, also that of a root with which the path
// begins.
func (a *app) printProblem(p verify.Problem, path string, root cid.Cid) error {
	short := func(id string) string { return id }
	if a.onTerminal() {
		short = display.Shorten
	}

	place := "block " + short(p.CID)
	if p.ShardCID != "" {
		place += fmt.Sprintf(" at %d of shard %s", p.Offset, short(p.ShardCID))
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %s: %s (%s)\n", p.What,
		printable(strings.Replace(path, root.String(), short(root.String()), 1)), oneLine(p.Detail), place)
	return err
}

// unsoundDAG is the error of a DAG that has problems.
type unsoundDAG struct{ problems int64 }

func (u *unsoundDAG) Error() string {
	return fmt.Sprintf("%s: %s", errUnsound, plural(u.problems, "problem"))
}
func (*unsoundDAG) Unwrap() error { return errUnsound }
func (*unsoundDAG) Hint() string {
	return "guppy: guppy check --read-data shows what can be repaired, and how"
}

// verifyRoot finds the node where verification begins. It does not read the root of an upload, so that a problem with
// the root is reported like any other. What no upload has as its root must be there.
func verifyRoot(ctx context.Context, from tree.Blocks, named content) (cid.Cid, error) {
	if len(named.Names) == 0 && named.upload != nil {
		return named.Root, nil
	}

	found, err := resolve(ctx, from, named.Path)
	if len(named.Names) == 0 && !errors.Is(err, blocks.ErrNotFound) {
		return named.Root, nil
	}
	if err != nil {
		return cid.Undef, err
	}
	return found.Node.CID, nil
}
