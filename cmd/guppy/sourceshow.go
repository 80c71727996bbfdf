package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func (a *app) sourceShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show SPACE SOURCE", Short: "Show a source, and the mounts on which it was last scanned",
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}

			found, err := findSource(ctx, repo, space, args[1])
			if err != nil {
				return err
			}

			view := sourceDetails{newSourceView(space, found), newSightingViews(found.Sightings)}
			return a.print(view, view.text)
		}),
	}
}

// sourceDetails is a source with its sightings.
type sourceDetails struct {
	sourceView
	Seen []sightingView `json:"sightings"` // what the source was at each path where it was scanned
}

// sightingView is what a source was at one path when it was last scanned, or accepted, there.
type sightingView struct {
	pathRef
	Mount mountView   `json:"mount"`        // file system that the source lies on
	Below []mountView `json:"mounts_below"` // file systems mounted below the source, by path
	Empty bool        `json:"empty"`        // whether it was a directory without entries

	mount sqlrepo.Mount
	below []sqlrepo.Mount
}

// mountView is a mounted file system, and the part of it that a source has.
type mountView struct {
	Point    string `json:"point"`        // where it is mounted; below a source, relative to the source
	Kind     string `json:"kind"`         // the system's name for its type, such as nfs4
	Origin   string `json:"device"`       // what was mounted, such as nas:/photos
	ID       string `json:"id,omitempty"` // identity of the file system, if its origin does not identify it
	Root     string `json:"root"`         // directory of the file system that is mounted
	Inner    string `json:"inner"`        // directory of the file system that is the source or the mount point
	Followed bool   `json:"followed"`     // whether a symlink leads to the mount
}

func newSightingViews(sightings sqlrepo.Sightings) []sightingView {
	views := []sightingView{}
	for _, seen := range sightings {
		view := sightingView{
			pathRef: newPathRef(seen.Path), Mount: mountView(seen.Mount), Below: []mountView{}, Empty: seen.Empty,
			mount: seen.Mount, below: seen.Below,
		}
		for _, below := range seen.Below {
			view.Below = append(view.Below, mountView(below))
		}
		views = append(views, view)
	}
	return views
}

func (v sourceDetails) text(w io.Writer) {
	v.sourceView.text(w)
	if len(v.Seen) == 0 {
		fmt.Fprintln(w, "never scanned")
	}

	for _, seen := range v.Seen {
		empty := ""
		if seen.Empty {
			empty = ", empty"
		}
		fmt.Fprintf(w, "seen at %s: %s%s\n", printable(seen.Path), describeMount(seen.mount), empty)
		for _, below := range seen.below {
			fmt.Fprintf(w, "  %s: %s\n", printable(below.Point), describeMount(below))
		}
	}
}

func describeMount(m sqlrepo.Mount) string {
	text := oneLine(source.Describe(m))
	if m.ID != "" {
		text += " (" + m.ID + ")"
	}
	return text
}
