package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const uploadCommandHelp = `Upload prepares registered sources of a space, one after the other, as guppy
prepare does: those that are named, or all. A failure of one does not keep the
others from being prepared.`

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

			if err := checkTags(a.tags); err != nil {
				return err
			}
			return warmed(ctx, repo, func() error { return a.upload(ctx, cfg, repo, args) })
		}),
	}

	a.addPrepareFlags(command)
	command.AddCommand(a.uploadLsCommand(), a.uploadShowCommand(), a.uploadTagCommand(), a.uploadRmCommand(),
		a.uploadPruneCommand())

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

	reports, failed := []*report{}, 0
	var incomplete error

	for _, source := range sources {
		summary, err := a.runSource(ctx, cfg, repo, space, source)
		if err == nil {
			reports, incomplete = append(reports, summary), errors.Join(incomplete, summary.err())
			continue
		}

		failed++
		incomplete = errors.Join(incomplete, fmt.Errorf("source %q: %w", source.Name, err))

		// After a signal or without a database the other sources would fail as well.
		if ctx.Err() != nil || isAny(err, databaseErrors) && !errors.Is(err, sqlrepo.ErrAtWork) {
			break
		}
	}

	err = a.print(reportsView{reports}, func(w io.Writer) {
		reportsText(w, space, reports, failed)
	})

	return errors.Join(err, incomplete)
}

// reportsView is the output of upload.
type reportsView struct {
	Uploads []*report `json:"uploads"` // one for each source that was prepared
}

// namedSources finds all sources before any is prepared, so that a misspelt name costs nothing.
func namedSources(ctx context.Context, repo *repository, space sqlrepo.Space,
	names []string) ([]sqlrepo.Source, error) {
	if len(names) == 0 {
		sources, err := repo.Sources(ctx, space.ID)
		if err == nil && len(sources) == 0 {
			err = fmt.Errorf("%w: space %q has no sources: guppy source add %s PATH adds one", errUsage, space.Name,
				arguments(space.Name))
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

// uploadView is an upload.
type uploadView struct {
	Upload int64 `json:"upload"` // number of the upload
	spaceRef
	Source  string `json:"source"`             // name of the source
	State   string `json:"state"`              // stage that it has reached, or complete, incomplete or removed
	Profile string `json:"profile"`            // recipe of its CIDs
	RootCID string `json:"root_cid,omitempty"` // CID of its whole tree, once it is known
	*contentCounts
	StartedAt  instant  `json:"started_at"`            // when it was begun
	FinishedAt instant  `json:"finished_at,omitempty"` // when it was completed
	Tags       []string `json:"tags"`                  // its tags, sorted
	stopView
}

const uploadLsHelp = `Ls lists the uploads of a space, or all uploads. Uploads that were removed, but
of which something is left because other uploads need it or gc has not deleted
it yet, are only listed with --all.`

func (a *app) uploadLsCommand() *cobra.Command {
	all := false
	command := &cobra.Command{
		Use: "ls [SPACE]", Short: "List uploads", Long: uploadLsHelp, Args: usageArgs(cobra.MaximumNArgs(1)),
	}
	command.RunE = a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository,
		args []string) error {
		if len(args) == 1 {
			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}
			return a.listUploadsOf(ctx, repo, space, all)
		}

		spaces, err := repo.Spaces(ctx)
		if err != nil {
			return err
		}
		return a.listUploads(ctx, repo, spaces, all, "no uploads yet: guppy prepare PATH")
	})

	command.Flags().BoolVar(&all, "all", false, "list removed uploads, too, of which something is left")
	a.addListFlags(command)
	return command
}

// listUploadsOf lists the uploads of one space.
func (a *app) listUploadsOf(ctx context.Context, repo *repository, space sqlrepo.Space, all bool) error {
	empty := fmt.Sprintf("no uploads in space %s yet: guppy prepare PATH --space %s", printable(space.Name),
		shellQuoted(space.Name))
	return a.listUploads(ctx, repo, []sqlrepo.Space{space}, all, empty)
}

// listUploads lists the uploads of spaces. On a terminal it says how many removed ones it leaves out.
func (a *app) listUploads(ctx context.Context, repo *repository, spaces []sqlrepo.Space, all bool,
	empty string) error {
	views, err := uploadViews(ctx, repo, spaces)
	if err != nil {
		return err
	}
	if all {
		return uploadList(empty).rows(a, views)
	}

	shown := slices.DeleteFunc(slices.Clone(views), func(v uploadView) bool {
		return v.State == sqlrepo.Removed.String()
	})
	hidden := int64(len(views) - len(shown))
	left := fmt.Sprintf("%s not listed: guppy upload ls --all lists what is left of them, guppy gc --yes deletes what "+
		"no other upload needs", plural(hidden, "removed upload"))
	if hidden > 0 && len(shown) == 0 {
		empty = left
	}

	err = uploadList(empty).rows(a, shown)
	if err == nil && hidden > 0 && len(shown) > 0 && a.screen.Interactive() {
		err = a.sayAside(left)
	}
	return err
}

func newUploadView(space sqlrepo.Space, source sqlrepo.Source, u sqlrepo.Upload, tags []string) uploadView {
	v := uploadView{
		Upload: u.ID, spaceRef: newSpaceRef(space), Source: source.Name, State: u.State.String(), Profile: u.Profile,
		RootCID: u.RootCID.String(), StartedAt: formatTime(u.StartedAt), FinishedAt: formatTime(u.FinishedAt),
		Tags: append([]string{}, tags...), stopView: newStopView(u),
	}
	// The row has the counts as soon as it has the root.
	if v.RootCID != "" {
		v.contentCounts = newContentCounts(u.Counts)
	}
	return v
}

// uploadList lists uploads. The text says what to do if there are none.
func uploadList(empty string) list[uploadView] {
	return list[uploadView]{name: "uploads", empty: empty, columns: []column[uploadView]{
		{"UPLOAD", func(v uploadView) string { return fmt.Sprint(v.Upload) }, number},
		{"SPACE", func(v uploadView) string { return printable(v.Space) }, words},
		{"SOURCE", func(v uploadView) string { return printable(v.Source) }, words},
		{"STATE", func(v uploadView) string { return v.State }, whole},
		{"STARTED (UTC)", func(v uploadView) string { return v.StartedAt.short() }, whole},
		{"FILES", uploadView.files, number},
		{"SIZE", uploadView.size, number},
		{"ROOT", func(v uploadView) string { return v.RootCID }, identifier},
		{"TAGS", func(v uploadView) string { return strings.Join(printables(v.Tags), ", ") }, optional},
		{"STOPPED", func(v uploadView) string { return oneLine(v.StopReason) }, reason},
	}}
}

func (v uploadView) files() string {
	if v.contentCounts == nil {
		return ""
	}
	return fmt.Sprint(v.Files)
}

func (v uploadView) size() string {
	if v.contentCounts == nil {
		return ""
	}
	return progress.Bytes(v.Bytes)
}

// uploadViews returns the uploads of spaces.
func uploadViews(ctx context.Context, repo *repository, spaces []sqlrepo.Space) (views []uploadView, err error) {
	for _, space := range spaces {
		uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space.ID})
		if err != nil {
			return nil, err
		}
		tags, err := repo.Tags(ctx, sqlrepo.UploadFilter{Space: &space.ID})
		if err != nil {
			return nil, err
		}

		for _, upload := range uploads {
			source, err := repo.Source(ctx, upload.Source)
			if err != nil {
				return nil, err
			}
			views = append(views, newUploadView(space, source, upload, tags[upload.ID]))
		}
	}
	return views, nil
}
