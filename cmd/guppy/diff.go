package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/diff"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const diffHelp = `Diff lists the paths in which the trees of two complete uploads differ, in
canonical order, as added, removed or changed. An entry has changed if its kind,
the content of a file or the target of a symlink differs. Modes and times are
not part of a tree, so uploads with the same root do not differ. Large files may
seem changed between uploads of different profiles.

` + uploadHelp + `

The exit code is 0 whether they differ or not.`

func (a *app) diffCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "diff UPLOAD UPLOAD", Short: "List the paths in which two uploads differ", Long: diffHelp,
		Args: usageArgs(cobra.ExactArgs(2)),
	}

	command.RunE = a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository,
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
	a.addListFlags(command)
	return command
}

func (a *app) diff(ctx context.Context, repo *repository, before, after int64) error {
	task := progress.NewTask("comparing", "entry")
	for _, id := range []int64{before, after} {
		upload, err := completeUpload(ctx, repo, id, "compared")
		if err != nil {
			return err
		}
		task.Expect(upload.Files+upload.Directories+upload.Symlinks, 0)
	}
	defer a.showProgress(ctx, task.State)()

	listing := func(id int64) iter.Seq2[sqlrepo.Listed, error] { return counted(repo.Listing(ctx, id), task) }
	counts := map[string]int64{diff.Added: 0, diff.Removed: 0, diff.Changed: 0}

	each := func(yield func(diffView) error) error {
		return diff.Trees(listing(before), listing(after), func(c diff.Change) error {
			counts[c.What]++
			return yield(newDiffView(c))
		})
	}
	end := func(err error) any {
		return diffEnd{counts[diff.Added], counts[diff.Removed], counts[diff.Changed], finished{err == nil}}
	}
	return changeList.each(a, each, end, func() string {
		return fmt.Sprintf("%d added, %d removed, %d changed", counts[diff.Added], counts[diff.Removed], counts[diff.Changed])
	})
}

// counted yields rows, and counts them for a task.
func counted[T any](rows iter.Seq2[T, error], task *progress.Task) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row, err := range rows {
			if err == nil {
				task.Add(1, 0)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// diffOutput is the output of diff.
type diffOutput struct {
	Changes []diffView `json:"changes"` // paths in which the uploads differ, in canonical order
	diffEnd
}

type diffEnd struct {
	Added   int64 `json:"added_count"`   // number of paths that were added
	Removed int64 `json:"removed_count"` // number of paths that were removed
	Changed int64 `json:"changed_count"` // number of paths whose kind, content or target changed
	finished
}

// diffView is a path in which two uploads differ.
type diffView struct {
	Change string `json:"change"` // added, removed or changed
	pathRef
	Before *entryContent `json:"before,omitempty"` // entry of the first upload, if it has one
	After  *entryContent `json:"after,omitempty"`  // entry of the second upload, if it has one
}

var changeList = list[diffView]{name: "changes", columns: []column[diffView]{
	{"CHANGE", func(v diffView) string { return v.Change }, whole},
	{"BEFORE", func(v diffView) string { return v.Before.short() }, words},
	{"AFTER", func(v diffView) string { return v.After.short() }, words},
	{"PATH", func(v diffView) string { return printable(v.Path) }, words},
}}

// short returns the kind of an entry and the size of a file.
func (c *entryContent) short() string {
	switch {
	case c == nil:
		return ""
	case c.Bytes != nil:
		return c.Kind + ", " + progress.Bytes(*c.Bytes)
	}
	return c.Kind
}

func newDiffView(c diff.Change) diffView {
	return diffView{c.What, newPathRef(c.Path.String()), newEntryContent(c.Before), newEntryContent(c.After)}
}

func newEntryContent(entry *sqlrepo.Listed) *entryContent {
	if entry == nil {
		return nil
	}
	content := &entryContent{
		Kind: entry.Kind.String(), CID: entry.Root.String(), Target: string(entry.Target),
		TargetBase64: base64Unless(string(entry.Target)),
	}
	if entry.Kind == sqlrepo.File {
		content.Bytes = &entry.Size
	}
	return content
}
