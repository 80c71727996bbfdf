package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/reading/diff"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const diffHelp = `Diff lists the paths in which the trees of two complete uploads differ, in
canonical order: "+" for added, "-" for removed, "M" for changed. An entry has
changed if its kind, the content of a file or the target of a symlink differs.
Modes and times are not part of a tree, so uploads with the same root do not
differ. Large files may seem changed between uploads of different profiles.

` + uploadHelp + `

With --json it prints one object: changes (a list of change, path, and before
and after, each with kind, size, cid and target) and the numbers added, removed
and changed. The exit code is 0 whether they differ or not.`

func (a *app) diffCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "diff UPLOAD UPLOAD", Short: "List the paths in which two uploads differ", Long: diffHelp,
		Args: usageArgs(cobra.ExactArgs(2)), ValidArgsFunction: cobra.NoFileCompletions,
	}

	command.RunE = a.repositoryCommand(func(ctx context.Context, _ *config.Config, repo *repository,
		args []string) error {
		before, err := findUpload(ctx, repo, args[0])
		if err != nil {
			return err
		}

		after, err := findUpload(ctx, repo, args[1])
		if err != nil {
			return err
		}
		return a.diff(ctx, repo, before, after)
	})
	return command
}

func (a *app) diff(ctx context.Context, repo *repository, before, after int64) error {
	for _, id := range []int64{before, after} {
		upload, err := repo.Upload(ctx, id)
		if err != nil {
			return err
		}
		// An unfinished upload has no complete tree.
		if upload.State != sqlrepo.Complete {
			return fmt.Errorf("upload %d is %s: only complete uploads can be compared", id, upload.State)
		}
	}

	listing := func(id int64) iter.Seq2[sqlrepo.Listed, error] { return repo.Listing(ctx, id) }
	counts := map[string]int64{diff.Added: 0, diff.Removed: 0, diff.Changed: 0}

	// There may be many changes, so each is printed as soon as it is found.
	if a.json {
		stream := a.streamJSON("changes")
		err := diff.Trees(listing(before), listing(after), func(c diff.Change) error {
			counts[c.What]++
			return stream.element(newDiffView(c))
		})

		further := map[string]any{"complete": err == nil}
		for what, n := range counts {
			further[what] = n
		}
		return errors.Join(err, stream.end(further))
	}

	out := bufio.NewWriter(a.stdout)
	err := diff.Trees(listing(before), listing(after), func(c diff.Change) error {
		counts[c.What]++
		_, err := fmt.Fprintln(out, diffLine(c))
		return err
	})

	if err == nil {
		_, err = fmt.Fprintf(out, "%d added, %d removed, %d changed\n", counts[diff.Added], counts[diff.Removed],
			counts[diff.Changed])
	}
	return errors.Join(err, out.Flush())
}

func diffLine(c diff.Change) string {
	sign := map[string]string{diff.Added: "+", diff.Removed: "-", diff.Changed: "M"}[c.What]
	line := sign + " " + printable(c.Path.String())
	if c.What == diff.Changed && c.Before.Kind != c.After.Kind {
		line += fmt.Sprintf(" (%s, now %s)", c.Before.Kind, c.After.Kind)
	}
	return line
}

type diffView struct {
	Change     string    `json:"change"`
	Path       string    `json:"path"`
	PathBase64 string    `json:"path_base64,omitempty"`
	Before     *diffSide `json:"before,omitempty"`
	After      *diffSide `json:"after,omitempty"`
}

type diffSide struct {
	Kind   string `json:"kind"`
	Size   int64  `json:"size"`
	CID    string `json:"cid,omitempty"`
	Target string `json:"target,omitempty"`
	// TargetBase64 holds the bytes of a target that is not UTF-8.
	TargetBase64 string `json:"target_base64,omitempty"`
}

func newDiffView(c diff.Change) diffView {
	path := c.Path.String()
	return diffView{c.What, path, base64Unless(path), newDiffSide(c.Before), newDiffSide(c.After)}
}

func newDiffSide(entry *sqlrepo.Listed) *diffSide {
	if entry == nil {
		return nil
	}
	return &diffSide{
		Kind: entry.Kind.String(), Size: entry.Size, CID: entry.Root.String(), Target: string(entry.Target),
		TargetBase64: base64Unless(string(entry.Target)),
	}
}
