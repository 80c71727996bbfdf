package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/verify"
)

const verifyHelp = `Verify walks the DAG of a root and tells of each block that is missing, damaged, or no part of a
well-formed tree, with a path that leads to it, its shard and its offset there. The nodes above the content of files
are read and compared with their digests; the content is only looked for in the rows and by the lengths of the shards,
unless --deep has it read too. Each distinct block is looked at once, whichever shard has it.

` + pathHelp + `

It needs about 100 bytes of memory for each block. Exit code 3 tells of problems. With --json it prints one object with
the list "problems" (problem, cid, path, shard, offset, detail), the "summary" and "sound".`

func (a *app) verifyCommand() *cobra.Command {
	deep := false
	command := &cobra.Command{
		Use: "verify ROOT[/PATH]", Short: "Read a DAG and tell of missing or bad blocks", Long: verifyHelp,
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
	}

	command.RunE = a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository,
		args []string) error {
		return a.withBlocks(ctx, cfg, repo, func(source *blocks.Source) error {
			return a.verify(ctx, verify.Verifier{Blocks: source, Deep: deep, Workers: workers(cfg)}, args[0])
		})
	})

	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&deep, "deep", false, "read every block, and compare it with its digest")
	flags.String("workers", "", "`N` blocks are read side by side (default: the number of CPUs)")
	addShardFlags(flags)

	return command
}

func (a *app) verify(ctx context.Context, v verify.Verifier, text string) error {
	path, root, err := verifyRoot(ctx, v.Blocks, text)
	if err != nil {
		return err
	}

	sum, err := verify.Summary{}, error(nil)

	if a.json {
		stream := a.streamJSON("problems")
		v.Found = func(p verify.Problem) error { return stream.element(p) }
		sum, err = v.Run(ctx, root, path)
		further := map[string]any{"complete": err == nil, "sound": err == nil && sum.Problems == 0, "summary": sum}
		err = errors.Join(err, stream.end(further))
	} else {
		v.Found = func(p verify.Problem) error { return a.printProblem(p) }
		sum, err = v.Run(ctx, root, path)

		if err == nil {
			_, err = fmt.Fprintf(a.stdout, "%s: %s (%d above the content), %s\n", plural(sum.Problems, "problem"),
				plural(sum.Blocks, "block"), sum.Nodes, progress.Bytes(sum.Bytes))
		}
	}

	if err != nil || sum.Problems == 0 {
		return err
	}
	return &unsoundDAG{sum.Problems}
}

func (a *app) printProblem(p verify.Problem) error {
	where := ""
	if p.Shard != 0 {
		where = fmt.Sprintf(" at %d of shard %d", p.Offset, p.Shard)
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %s%s, %s: %s\n", p.What, p.CID, where, printable(p.Path), printable(p.Detail))
	return err
}

// unsoundDAG is the error of a DAG that has problems.
type unsoundDAG struct{ problems int64 }

func (u *unsoundDAG) Error() string {
	return fmt.Sprintf("%s: %s", errUnsound, plural(u.problems, "problem"))
}
func (*unsoundDAG) Unwrap() error { return errUnsound }
func (*unsoundDAG) Hint() string {
	return "guppy: guppy check --read-data tells what can be mended, and how"
}

// verifyRoot finds the node where verification begins. It does not read a root, so that a problem with the root
// is reported like any other.
func verifyRoot(ctx context.Context, from tree.Blocks, text string) (path string, root cid.Cid, err error) {
	parsed, err := tree.ParsePath(text)
	if err != nil {
		return "", root, fmt.Errorf("%w: %w", errUsage, err)
	}

	if len(parsed.Names) == 0 {
		return parsed.String(), parsed.Root, nil
	}

	_, found, err := resolve(ctx, from, text)
	if err != nil {
		return "", root, err
	}

	return parsed.String(), found.Node.CID, nil
}
