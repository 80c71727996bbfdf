package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/gc"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const uploadRmHelp = `Rm removes one upload: its entries, and the shards that no remaining upload of its space needs. It
says what that would be, and does it if that is confirmed on a terminal or with --yes. What later uploads of the source
share with it, or left out because it was there, stays.

The upload is gone at once; what is left of it if rm is interrupted, guppy gc removes.

With --json it prints one object: upload, space, dry_run (nothing was changed), uploads (1 if nothing of it is left),
entries, shards, nodes, files and bytes of the store that are deleted, and kept_entries, kept_shards, which others need.
When it goes on with other removals of the space as well, the numbers are those of all of them.`

func (a *app) uploadRmCommand() *cobra.Command {
	yes := false
	command := &cobra.Command{
		Use: "rm UPLOAD", Short: "Remove an upload, with all that no other one needs", Long: uploadRmHelp,
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
	}
	command.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := uploadKey(args)
		if err != nil {
			return err
		}
		if err := a.requireRepository(cmd); err != nil {
			return err
		}
		return a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
			return inUse(ctx, repo, func() error { return a.removeUpload(ctx, cfg, repo, *key, yes) })
		})(cmd, args)
	}
	addRemovalFlags(command, &yes)
	return command
}

func (a *app) removeUpload(ctx context.Context, cfg *config.Config, repo *repository, key int64, yes bool) error {
	upload, err := repo.Upload(ctx, key)
	if err != nil {
		return err
	}
	source, err := repo.Source(ctx, upload.Source)
	if err != nil {
		return err
	}
	space, err := spaceOf(ctx, repo, source)
	if err != nil {
		return err
	}
	collector := a.collector(cfg, repo)
	if !yes {
		if yes, err = a.askToRemove(ctx, collector, space, upload); err != nil || !yes {
			return err
		}
	}
	if err := repo.RemoveUpload(ctx, upload.ID); err != nil {
		return err
	}
	sum, err := collector.Collect(ctx, space.ID)
	if errors.Is(err, sqlrepo.ErrAtWork) {
		err = fmt.Errorf("upload %d is removed, but not all of its shards yet; guppy gc --yes goes on: %w", upload.ID, err)
	}
	view := newRemovalView(space, sum)
	view.Upload = upload.ID
	return errors.Join(a.print(view, func(w io.Writer) {
		fmt.Fprintf(w, "upload %d was removed: %s\n", upload.ID, view.describe(false))
	}), err)
}

// askToRemove prints what would go, and asks where somebody can answer.
func (a *app) askToRemove(ctx context.Context, collector *gc.Collector, space sqlrepo.Space,
	upload sqlrepo.Upload) (bool, error) {
	sum, err := collector.Plan(ctx, space.ID, []sqlrepo.Upload{upload})
	if err != nil {
		return false, err
	}
	view := newRemovalView(space, sum)
	view.Upload, view.DryRun = upload.ID, true
	ask := !a.json && term.IsTerminal(int(os.Stdin.Fd()))
	err = a.print(view, func(w io.Writer) {
		fmt.Fprintf(w, "upload %d, %s, %d files, %s: %s\n", upload.ID, upload.State, upload.Files,
			progress.Bytes(upload.Bytes), view.describe(true))
		if !ask {
			fmt.Fprintln(w, "nothing was changed: --yes does it")
		}
	})
	if err != nil || !ask {
		return false, err
	}
	return true, a.confirm(ctx, false, fmt.Sprintf("Remove upload %d?", upload.ID))
}

// removalView is what a removal deletes, or would delete.
type removalView struct {
	Upload      int64  `json:"upload,omitempty"`
	Space       string `json:"space"`
	DryRun      bool   `json:"dry_run"`
	Uploads     int64  `json:"uploads"`
	Entries     int64  `json:"entries"`
	Shards      int64  `json:"shards"`
	Nodes       int64  `json:"nodes"`
	Files       int64  `json:"files"`
	Bytes       int64  `json:"bytes"`
	KeptEntries int64  `json:"kept_entries"`
	KeptShards  int64  `json:"kept_shards"`
}

func newRemovalView(space sqlrepo.Space, s gc.Summary) removalView {
	return removalView{
		Space: space.Name, Uploads: s.Uploads, Entries: s.Entries, Shards: s.Shards, Nodes: s.Nodes, Files: s.Files,
		Bytes: s.Bytes, KeptEntries: s.KeptEntries, KeptShards: s.KeptShards,
	}
}

func (v removalView) describe(planned bool) string {
	verb := "deleted"
	if planned {
		verb = "would delete"
	}
	text := fmt.Sprintf("%s %d entries, %d shards with %d nodes, and %d files of the store, %s", verb, v.Entries, v.Shards,
		v.Nodes, v.Files, progress.Bytes(v.Bytes))
	if v.KeptEntries+v.KeptShards > 0 {
		text += fmt.Sprintf("; other uploads need %d entries and %d shards of it, which stay", v.KeptEntries, v.KeptShards)
	}
	return text
}
