package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const lsHelp = `Ls lists the uploads of a SPACE, or the entries of a directory of an upload or
below any CID.

` + pathHelp + `

With -l a line shows the kind, the length of a file, the CID, the path, and the
target of a symlink. The length of a file of one block is the one that its
directory records.`

// lsOptions holds the flags of ls.
type lsOptions struct{ long, recursive bool }

func (a *app) lsCommand() *cobra.Command {
	options := lsOptions{}
	command := &cobra.Command{
		Use: "ls SPACE|UPLOAD|CID[/PATH]", Short: "List the uploads of a space, or the entries of a prepared directory",
		Long: lsHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
	}

	command.RunE = a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository,
		args []string) error {
		name, err := nameUpload(ctx, repo, args[0])
		if err != nil {
			return err
		}

		if name.alone {
			return a.listUploadsOf(ctx, repo, *name.space)
		}

		named, err := name.findContent(ctx, repo)
		if err != nil {
			return err
		}
		return a.withBlocks(ctx, cfg, repo, func(source *blocks.Source) error {
			return a.ls(ctx, source, named.Path, options)
		})
	})

	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&options.long, "long", "l", false, "show kind, length and CID")
	flags.BoolVarP(&options.recursive, "recursive", "R", false, "list directories and everything below them")
	addShardFlags(flags)

	return command
}

func (a *app) listUploadsOf(ctx context.Context, repo *repository, space sqlrepo.Space) error {
	views, err := uploadViews(ctx, repo, []sqlrepo.Space{space})
	if err != nil {
		return err
	}
	return uploadList(noUploadsIn(space.Name)).rows(a, views)
}

// lsEntry is an entry as ls prints it.
type lsEntry struct {
	pathRef
	entryContent
}

// lsOutput is the output of ls for a directory.
type lsOutput struct {
	Entries []lsEntry `json:"entries"` // entries of the directory, or what is not a directory
	finished
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

// line returns the entry as a line of text.
func (e lsEntry) line(long bool) string {
	shown := printable(e.Path)
	if e.Kind == tree.Directory.String() {
		shown += "/"
	}

	if !long {
		return shown
	}

	size := "-"
	if e.Bytes != nil {
		size = strconv.FormatInt(*e.Bytes, 10)
	}

	if e.Kind == tree.Symlink.String() {
		shown += " -> " + printable(e.Target)
	}
	return fmt.Sprintf("%-9s %14s  %s  %s", e.Kind, size, e.CID, shown)
}

func (a *app) ls(ctx context.Context, source *blocks.Source, path tree.Path, options lsOptions) error {
	found, err := resolve(ctx, source, path)
	if err != nil {
		return err
	}

	if a.json {
		stream := a.streamJSON()
		err := stream.begin("entries")
		if err == nil {
			err = listEntries(ctx, source, found, options, func(e lsEntry) error { return stream.element(e) })
		}
		return errors.Join(err, stream.end(finished{err == nil}))
	}

	out := bufio.NewWriter(a.stdout)
	err = listEntries(ctx, source, found, options, func(e lsEntry) error {
		_, err := fmt.Fprintln(out, e.line(options.long))
		return err
	})
	return errors.Join(err, out.Flush())
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
	case options.recursive:
		return tree.Walk(ctx, source, found.Node, func(e tree.Entry) error {
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
	return tree.Kinds(ctx, source, children, func(i int, node *tree.Node) error {
		return show(newLsEntry(children[i].Name, node))
	})
}
