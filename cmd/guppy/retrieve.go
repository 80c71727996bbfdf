package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/retrieve"
	"github.com/guppy-prep/guppy/internal/reading/selection"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

const retrieveHelp = `Retrieve writes a file, directory or symlink from its shards to disk. The
entries of a directory go into the directory OUT, which is created if it does
not exist. A file is written as OUT, or into OUT under its own name if OUT is a
directory, or to standard output if OUT is "-". Names and symlinks are restored
as they were. Modes and times are those of the upload, or, for a CID, of the
latest upload with that root, except for setuid and setgid bits, and the sticky
bits of files. An OUT that existed before keeps its own mode and time.

` + contentHelp + `

With --include only entries that match a pattern are written, with what is in
them and the directories above them; with --exclude all but those that match.
Patterns are those of a .gitignore file, relative to what is retrieved.

Each block is compared with its digest. A file gets its name only when it is
complete. Until then it is beside its place as .guppy-part-..., and the same
command continues it after an interruption. Existing files are read and
compared, and kept if they are equal. If another run is writing a file, this one
fails. Nothing is written outside OUT, whatever names and links the DAG or OUT
contain. Files are not synced: after a loss of power, run the command again.

The exit code is 3 if files could not be written because blocks are missing or
damaged.`

// retrieveOptions holds the flags of retrieve that are not settings.
type retrieveOptions struct {
	include, exclude []string
	// force is true to write anything to a terminal.
	overwrite, dry, force bool
}

func (a *app) retrieveCommand() *cobra.Command {
	options := retrieveOptions{}
	command := &cobra.Command{
		Use: "retrieve UPLOAD|CID[/PATH] OUT", Short: "Write a file or directory from its shards to disk", Long: retrieveHelp,
		Args: usageArgs(cobra.ExactArgs(2)),
	}

	command.RunE = a.readingCommand(func(ctx context.Context, cfg *config.Config, repo *repository,
		args []string) error {
		selected, err := selection.New(options.include, options.exclude)
		if err != nil {
			return err
		}
		if !options.dry {
			if err := a.refuseListFlags("--dry-run"); err != nil {
				return err
			}
		}
		if args[1] == "-" && (selected != nil || options.dry) {
			return fmt.Errorf("%w: a file on standard output takes no --include, --exclude or --dry-run", errUsage)
		}

		return a.withBlocks(ctx, cfg, repo, func(source *blocks.Source) error {
			named, err := findContent(ctx, repo, args[0])
			if err != nil {
				return err
			}

			a.resume.by(commandWith(command, named.name, args[1]))
			found, err := resolve(ctx, source, named.Path)
			if err != nil {
				return err
			}

			if args[1] == "-" {
				return a.retrieveToStdout(ctx, source, named.Path, found, options.force)
			}

			if err := refuseOwnOutput(cfg, repo, args[1]); err != nil {
				return err
			}

			r := retrieve.Retriever{
				Blocks: source, Select: selected, Overwrite: options.overwrite, Workers: workers(cfg),
			}
			if options.dry {
				return a.planRetrieval(ctx, repo, named, found, args[1], r)
			}
			return a.retrieve(ctx, repo, named, found, args[1], r)
		})
	})

	expandArgs(command, config.ExpandPath, 1)

	flags := command.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&options.include, "include", nil,
		"write what matches `GLOB` only, as in .gitignore, with the directories above it; may be repeated")
	flags.StringArrayVar(&options.exclude, "exclude", nil, "leave out what matches `GLOB`; may be repeated")
	flags.BoolVar(&options.dry, "dry-run", false, "list what would be written, and write nothing")
	flags.BoolVar(&options.overwrite, "overwrite", false, "replace files and symlinks that differ")
	flags.BoolVar(&options.force, "force", false, "write a file to a terminal even if it is not text")
	a.addListFlags(command)
	flags.String("workers", "", "write `N` files at a time (default: the number of CPUs)")
	addShardFlags(flags)

	return command
}

func (a *app) retrieveToStdout(ctx context.Context, source *blocks.Source, path tree.Path, found tree.Resolved,
	force bool) error {
	if found.Node.Kind != tree.File {
		return fmt.Errorf("%w: %s is a %s: only a file can be written to standard output", errUsage, path, found.Node.Kind)
	}

	task := progress.NewTask("retrieving", "")
	task.Expect(0, int64(found.Node.Size))
	defer a.showBeside(ctx, task.State)()

	out := a.stdout
	if a.onTerminal() && !force {
		out = &textOnly{to: out}
	}
	return found.Node.WriteRange(ctx, source, 0, max(1, found.Node.Size), counting{out, task})
}

// counting counts the bytes that are written.
type counting struct {
	to   io.Writer
	task *progress.Task
}

func (c counting) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.task.Add(0, int64(n))
	return n, err
}

// errLost marks a tree with files that could not be retrieved.
var errLost = errors.New("could not be retrieved")

// retrieve writes a tree and prints what it wrote.
func (a *app) retrieve(ctx context.Context, repo *repository, named content, found tree.Resolved, out string,
	r retrieve.Retriever) error {
	// The DAG has no modes and times. The rows of an upload have them.
	if named.upload != nil {
		r.Base = baseOf(found)
		r.Known = repo.EntriesBelow(ctx, named.upload.ID, r.Base)
	}

	view := retrieveView{all: a.again("--json")}
	r.Failed = view.failed

	r.Progress = progress.NewTask("retrieving", "file")
	stop := a.showProgress(ctx, r.Progress.State)
	err := expectFiles(ctx, repo, r, named, found)
	var sum retrieve.Summary
	if err == nil {
		sum, err = r.To(ctx, found, out)
	}
	if err == nil && sum.Failed == 0 {
		r.Progress.Settle() // a DAG may claim more than its files have
	}
	stop()
	if err != nil {
		return explainSelection(err, r.Select)
	}
	a.warnOfUnmatched(r.Select)

	view.Files, view.Directories, view.Symlinks, view.Bytes, view.Kept =
		sum.Files, sum.Directories, sum.Symlinks, sum.Bytes, sum.Kept

	again, next := a.resume.lineFor(append([]string{"guppy"}, a.args...)), ""
	if sum.Failed == 0 {
		next = again + " compares what is there, as after a loss of power"
	}
	if err := a.printWithNext(view, view.text, next); err != nil || sum.Failed == 0 {
		return err
	}

	return fmt.Errorf("%s %w: guppy verify --deep %s shows what is wrong with each block", plural(sum.Failed, "file"),
		errLost, arguments(named.String()))
}

// explainSelection names the patterns for which nothing is selected.
func explainSelection(err error, selected *selection.Selection) error {
	if !errors.Is(err, retrieve.ErrNothingSelected) {
		return err
	}
	include, _ := selected.Unmatched()
	for i, pattern := range include {
		include[i] = shellQuoted(pattern)
	}
	return fmt.Errorf("%w: nothing matches --include %s, unless --exclude leaves it out", err,
		strings.Join(include, " or "))
}

// warnOfUnmatched says which patterns have selected or left out nothing in all of a tree.
func (a *app) warnOfUnmatched(selected *selection.Selection) {
	include, exclude := selected.Unmatched()
	for _, pattern := range include {
		a.log.Warn("no entry matches --include", "pattern", pattern)
	}
	for _, pattern := range exclude {
		a.log.Warn("no entry matches --exclude", "pattern", pattern)
	}
}

// retrieveView is the output of retrieve.
type retrieveView struct {
	contentCounts
	Kept     int64         `json:"kept_bytes"`    // length of the files that were there already
	Failures int64         `json:"failure_count"` // number of files that could not be written
	Failed   []pathFailure `json:"failures"`      // these files, at most 10,000 of them

	// all is the command that lists all failures.
	all string
}

// failed keeps a failure for the output.
func (v *retrieveView) failed(path string, err error) {
	v.Failures++
	if len(v.Failed) < keptFailures {
		v.Failed = append(v.Failed, pathFailure{newPathRef(path), err.Error()})
	}
}

// keptFailures limits the number of failures that are kept for the output.
const keptFailures = 10_000

func (v retrieveView) text(w io.Writer) {
	fmt.Fprintf(w, "retrieved %s, %s, %s, %s\n", plural(v.Files, "file"),
		plural(v.Directories, "directory"), plural(v.Symlinks, "symlink"), progress.Bytes(v.Bytes))
	if v.Kept > 0 {
		fmt.Fprintf(w, "kept      %s that was there already\n", progress.Bytes(v.Kept))
	}
	for _, failure := range v.Failed[:min(len(v.Failed), listed)] {
		fmt.Fprintf(w, "failed    %s: %s\n", printable(failure.Path), printable(failure.Reason))
	}
	printMore(w, int(v.Failures), v.all)
}
