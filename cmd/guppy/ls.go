package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

const lsHelp = `Ls lists the uploads of a SPACE, or the entries of a directory of an upload or
below any CID.

` + pathHelp + `

With -l a line shows the kind, the length of a file, the CID, the path, and the
target of a symlink. The length of a file of one block is the one that its
directory records.`

// lsOptions holds the flags of ls, and counts what is listed.
type lsOptions struct {
	long, recursive, human, tree bool
	progress                     *progress.Task
}

// check refuses flags that would change nothing.
func (o lsOptions) check(name uploadName) error {
	switch {
	case name.alone && (o.long || o.recursive || o.human || o.tree):
		return fmt.Errorf("%w: -l, -R, -h and --tree are for entries, and %s is a space: guppy ls %s/%s lists the entries "+
			"of its latest upload", errUsage, printable(name.text), shellQuoted(name.text), latestUpload)
	case o.human && !o.long:
		return fmt.Errorf("%w: -h is for the lengths that -l shows: use -lh", errUsage)
	}
	return nil
}

func (a *app) lsCommand() *cobra.Command {
	options := lsOptions{}
	command := &cobra.Command{
		Use: "ls SPACE|UPLOAD|CID[/PATH]", Short: "List the uploads of a space, or the entries of a prepared directory",
		Long: lsHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
	}

	command.RunE = a.readingCommand(func(ctx context.Context, cfg *config.Config, repo *repository,
		args []string) error {
		name, err := nameUpload(ctx, repo, args[0])
		if err != nil {
			return err
		}

		if err := options.check(name); err != nil {
			return err
		}
		if name.alone {
			return a.listUploadsOf(ctx, repo, *name.space, false)
		}

		named, err := name.findContent(ctx, repo)
		if err != nil {
			return err
		}
		return a.withBlocks(ctx, cfg, repo, func(source *blocks.Source) error {
			return a.ls(ctx, source, named, options)
		})
	})

	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&options.long, "long", "l", false, "show kind, length and CID")
	flags.BoolVarP(&options.recursive, "recursive", "R", false, "list directories and everything below them")
	flags.BoolVarP(&options.human, "human-readable", "h", false, "with -l, show lengths such as 1.2 MiB")
	flags.BoolVar(&options.tree, "tree", false, "show directories and everything below them as a tree")
	flags.Bool("help", false, "help for ls") // it has no -h here
	a.addListFlags(command)
	addShardFlags(flags)

	return command
}

// lsEntry is an entry as ls prints it.
type lsEntry struct {
	pathRef
	entryContent
}

func newLsEntry(path string, node *tree.Node) lsEntry {
	e := lsEntry{newPathRef(path), entryContent{Kind: node.Kind.String(), CID: node.CID.String(),
		Target: node.Target, TargetBase64: base64Unless(node.Target)}}
	if node.Kind == tree.File {
		bytes := int64(node.Size) //nolint:gosec // no file is longer
		e.Bytes = &bytes
	}
	return e
}

// shownEntry is an entry with what is shown as its name, to which a tree adds branches.
type shownEntry struct {
	lsEntry
	shown string
}

func (e shownEntry) name(long bool) string {
	switch {
	case e.Kind == tree.Directory.String():
		return e.shown + "/"
	case long && e.Kind == tree.Symlink.String():
		return e.shown + " -> " + printable(e.Target)
	}
	return e.shown
}

func (e lsEntry) size(human bool) string {
	switch {
	case e.Bytes == nil:
		return "-"
	case human:
		return progress.Bytes(*e.Bytes)
	}
	return strconv.FormatInt(*e.Bytes, 10)
}

// line returns the entry as a line of text.
func (e shownEntry) line(options lsOptions) string {
	if !options.long {
		return e.name(false)
	}
	return fmt.Sprintf("%-9s %14s  %s  %s", e.Kind, e.size(options.human), e.CID, e.name(true))
}

// entryList lists the entries of a directory in JSON. Text is not a table, except on a terminal: ls is like that of
// Unix.
var entryList = list[lsEntry]{name: "entries"}

// longEntries is what -l shows on a terminal.
func longEntries(options lsOptions) list[shownEntry] {
	return list[shownEntry]{name: "entries", empty: emptyDirectory, columns: []column[shownEntry]{
		{"KIND", func(e shownEntry) string { return e.Kind }, whole},
		{"SIZE", func(e shownEntry) string { return e.size(options.human) }, number},
		{"CID", func(e shownEntry) string { return e.CID }, identifier},
		{"NAME", func(e shownEntry) string { return e.name(true) }, words},
	}}
}

const emptyDirectory = "the directory is empty"

func (a *app) ls(ctx context.Context, source *blocks.Source, named content, options lsOptions) error {
	found, err := resolve(ctx, source, named.Path)
	if err != nil {
		return err
	}

	task := progress.NewTask("listing", "entry")
	options.progress = task
	if upload := named.upload; upload != nil && len(found.Names) == 0 && (options.recursive || options.tree) {
		task.Expect(upload.Files+upload.Directories+upload.Symlinks, 0)
	}
	defer a.showBeside(ctx, task.State)()

	each := func(yield func(lsEntry) error) error { return listEntries(ctx, source, found, options, yield) }
	switch {
	case a.json || a.listing.format != "":
		return entryList.stream(a, each)
	case options.tree && len(a.listing.sort) > 0:
		return fmt.Errorf("%w: a --tree can't be sorted", errUsage)
	}
	if each, err = entryList.sorted(a.listing.sort, each); err != nil || a.voice.quiet {
		return err
	}

	shown := func(yield func(shownEntry) error) error {
		if options.tree && found.Node.Kind == tree.Directory {
			return eachOfTree(ctx, source, found.Node, task, yield)
		}
		return each(func(e lsEntry) error { return yield(shownEntry{e, printable(e.Path)}) })
	}
	if options.long && a.onTerminal() {
		return longEntries(options).text(a, shown, nil)
	}
	return a.entryLines(shown, options)
}

// entryLines prints entries line by line. An empty directory says so on standard error.
func (a *app) entryLines(each func(yield func(shownEntry) error) error, options lsOptions) error {
	out, filled := bufio.NewWriter(a.stdout), false
	err := each(func(e shownEntry) error {
		filled = true
		_, err := fmt.Fprintln(out, e.line(options))
		return err
	})

	err = errors.Join(err, out.Flush())
	if err == nil && !filled {
		err = a.sayAside(emptyDirectory)
	}
	return err
}

// eachOfTree calls show for a directory and everything below it, with the branches of a tree before the names.
func eachOfTree(ctx context.Context, source *blocks.Source, root *tree.Node, task *progress.Task,
	show func(shownEntry) error) error {
	// By depth: the name of the last entry of the directory that is open, and whether that entry was reached.
	var last []string
	var ended []bool

	return tree.Walk(ctx, source, root, func(e tree.Entry) error {
		task.Add(1, 0)
		depth := len(e.Names)
		name, branches := ".", ""
		if depth > 0 {
			name = e.Names[depth-1]
			ended = append(ended[:depth-1], name == last[depth-1])
			branches = branchesOf(ended)
		}

		last = last[:depth]
		if n := len(e.Children); n > 0 {
			last = append(last, e.Children[n-1].Name)
		}
		return show(shownEntry{newLsEntry(name, e.Node), branches + printable(name)})
	}, nil)
}

// branchesOf draws what stands before a name in a tree. ended says of the entry and the directories above it whether
// they are the last ones where they are.
func branchesOf(ended []bool) string {
	var text strings.Builder
	for i, last := range ended {
		branch := "│   "
		switch {
		case i == len(ended)-1 && last:
			branch = "└── "
		case i == len(ended)-1:
			branch = "├── "
		case last:
			branch = "    "
		}
		text.WriteString(branch)
	}
	return text.String()
}

// listEntries calls show for each entry of a directory, or once for a node that is not a directory.
func listEntries(ctx context.Context, source *blocks.Source, found tree.Resolved, options lsOptions,
	show func(lsEntry) error) error {
	switch {
	case found.Node.Kind != tree.Directory:
		name := found.Node.CID.String()
		if n := len(found.Names); n > 0 {
			name = found.Names[n-1]
		}
		return show(newLsEntry(name, found.Node))
	case options.recursive || options.tree:
		return tree.Walk(ctx, source, found.Node, func(e tree.Entry) error {
			options.progress.Add(1, 0)
			// The directory itself is not one of its entries.
			if len(e.Names) == 0 {
				return nil
			}
			return show(newLsEntry(e.Path(), e.Node))
		}, nil)
	}

	children, err := found.Node.Children(ctx, source)
	if err != nil {
		return err
	}
	options.progress.Expect(int64(len(children)), 0)
	return tree.Kinds(ctx, source, children, func(i int, node *tree.Node) error {
		options.progress.Add(1, 0)
		return show(newLsEntry(children[i].Name, node))
	})
}
