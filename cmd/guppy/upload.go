package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const uploadCommandHelp = `Upload prepares registered sources of a space, one after the other, as guppy
prepare does: those that are named, or all. A failure of one does not keep the
others from being prepared.

` + reportHelp

func (a *app) uploadCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "upload SPACE [SOURCE...]",
		Short: "Prepare registered sources of a space: those named, or all",
		Long:  uploadCommandHelp,
		Args:  usageArgs(cobra.MinimumNArgs(1)),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			// The database may be on another host, so this one may have no data directory yet.
			if err := makeDataDir(cfg); err != nil {
				return err
			}

			return warmed(ctx, repo, func() error { return a.upload(ctx, cfg, repo, args) })
		}),
	}

	a.addPrepareFlags(command)
	command.AddCommand(&cobra.Command{
		Use: "ls [SPACE]", Short: "List uploads", Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: a.repositoryCommand(a.listUploads),
	}, a.uploadShowCommand(), a.uploadRmCommand())

	return command
}

// upload prepares the sources one after the other. A failure of one does not keep the others from being prepared.
func (a *app) upload(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
	space, err := repo.FindSpace(ctx, args[0])
	if err != nil {
		return err
	}

	sources, err := namedSources(ctx, repo, space, args[1:])
	if err != nil {
		return err
	}
	if err := a.refuseReplicas(ctx, cfg, repo); err != nil {
		return err
	}

	reports := []*report{}
	var incomplete error

	for _, source := range sources {
		summary, err := a.runSource(ctx, cfg, repo, space, source)
		if err == nil {
			reports, incomplete = append(reports, summary), errors.Join(incomplete, summary.err())
			continue
		}

		incomplete = errors.Join(incomplete, fmt.Errorf("source %q: %w", source.Name, err))

		// After a signal or without a database the other sources would fail as well.
		if ctx.Err() != nil || isAny(err, databaseErrors) && !errors.Is(err, sqlrepo.ErrAtWork) {
			break
		}
	}

	err = a.print(map[string]any{"uploads": reports}, func(w io.Writer) {
		for _, summary := range reports {
			summary.text(w)
		}
	})

	return errors.Join(err, incomplete)
}

// namedSources finds all sources before any is prepared, so that a misspelt name costs nothing.
func namedSources(ctx context.Context, repo *repository, space sqlrepo.Space,
	names []string) ([]sqlrepo.Source, error) {
	if len(names) == 0 {
		sources, err := repo.Sources(ctx, space.ID)
		if err == nil && len(sources) == 0 {
			err = fmt.Errorf("%w: space %q has no sources: guppy source add %s PATH adds one", errUsage, space.Name,
				shellQuoted(space.Name))
		}
		return sources, err
	}

	var sources []sqlrepo.Source
	for _, name := range names {
		source, err := findSource(ctx, repo, space, name)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source)
	}

	return sources, nil
}

type uploadView struct {
	Upload     int64  `json:"upload"`
	Space      string `json:"space"`
	Source     string `json:"source"`
	State      string `json:"state"`
	Profile    string `json:"profile"`
	RootCID    string `json:"root_cid"`
	Files      int64  `json:"files"`
	Bytes      int64  `json:"bytes"`
	StartedAt  string `json:"started_at"`
	FinishedAt string `json:"finished_at,omitempty"`
}

func (a *app) listUploads(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
	spaces, err := repo.Spaces(ctx)
	if len(args) == 1 {
		var space sqlrepo.Space
		space, err = repo.FindSpace(ctx, args[0])
		spaces = []sqlrepo.Space{space}
	}

	if err != nil {
		return err
	}

	var views []uploadView
	for _, space := range spaces {
		uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space.ID})
		if err != nil {
			return err
		}

		for _, upload := range uploads {
			source, err := repo.Source(ctx, upload.Source)
			if err != nil {
				return err
			}
			views = append(views, newUploadView(space, source, upload))
		}
	}

	return printList(a, views, func(v uploadView) uploadView { return v }, uploadView.text)
}

func newUploadView(space sqlrepo.Space, source sqlrepo.Source, u sqlrepo.Upload) uploadView {
	return uploadView{
		Upload: u.ID, Space: space.Name, Source: source.Name, State: u.State.String(), Profile: u.Profile,
		RootCID: u.RootCID.String(), Files: u.Files, Bytes: u.Bytes,
		StartedAt: formatTime(u.StartedAt), FinishedAt: formatTime(u.FinishedAt),
	}
}

func (v uploadView) text(w io.Writer) {
	fmt.Fprintf(w, "%d  %s  %s  %s  %s", v.Upload, printable(v.Space), printable(v.Source), v.StartedAt, v.State)
	if v.RootCID != "" {
		fmt.Fprintf(w, "  %s  %s, %s", v.RootCID, plural(v.Files, "file"), progress.Bytes(v.Bytes))
	}
	fmt.Fprintln(w)
}
