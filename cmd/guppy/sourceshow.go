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
		RunE: a.repositoryCommand(func(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}

			found, err := findSource(ctx, repo, space, args[1])
			if err != nil {
				return err
			}

			view := sourceDetails{newSourceView(found), append([]sqlrepo.Sighting{}, found.Sightings...)}
			return a.print(view, view.text)
		}),
	}
}

// sourceDetails is a source with its sightings.
type sourceDetails struct {
	sourceView
	Seen []sqlrepo.Sighting `json:"seen"`
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
		fmt.Fprintf(w, "seen at %s: %s%s\n", printable(seen.Path), describeMount(seen.Mount), empty)
		for _, below := range seen.Below {
			fmt.Fprintf(w, "  %s: %s\n", printable(below.Point), describeMount(below))
		}
	}
}

func describeMount(m sqlrepo.Mount) string {
	text := printable(source.Describe(m))
	if m.ID != "" {
		text += " (" + m.ID + ")"
	}
	return text
}
