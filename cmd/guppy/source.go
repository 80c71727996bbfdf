package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func (a *app) sourceCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "source", Short: "Add, list, show, move and remove the sources of a space", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	list := &cobra.Command{
		Use: "ls SPACE", Short: "List the sources of a space", Args: usageArgs(cobra.ExactArgs(1)),
		RunE: a.readingCommand(func(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}

			sources, err := repo.Sources(ctx, space.ID)
			if err != nil {
				return err
			}
			views := make([]sourceView, len(sources))
			for i, source := range sources {
				views[i] = newSourceView(space, source)
			}
			return sourceList(space).rows(a, views)
		}),
	}
	a.addListFlags(list)

	command.AddCommand(a.sourceAddCommand(), a.sourceShowCommand(), a.sourceMvCommand(), list, &cobra.Command{
		Use: "rm SPACE SOURCE", Short: "Remove a source, by name or path; its uploads stay",
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: a.repositoryCommand(func(ctx context.Context, _ *config.Config, repo *repository, args []string) error {
			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}

			source, err := findSource(ctx, repo, space, args[1])
			if err != nil {
				return err
			}
			if err := repo.RemoveSource(ctx, source.ID); err != nil {
				return err
			}
			return a.print(newSourceView(space, source), func(w io.Writer) {
				fmt.Fprintf(w, "removed source %s at %s; its uploads stay\n", printable(source.Name),
					printable(string(source.Path)))
			})
		}),
	})

	return command
}

func (a *app) sourceAddCommand() *cobra.Command {
	var name string
	add := &cobra.Command{
		Use: "add SPACE PATH", Short: "Register a directory or file in a space", Args: usageArgs(cobra.ExactArgs(2)),
		RunE: a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, args []string) error {
			if err := checkNewName("source", name); err != nil {
				return err
			}
			path, err := sourcePath(cfg, args[1])
			if err != nil {
				return err
			}

			space, err := repo.FindSpace(ctx, args[0])
			if err != nil {
				return err
			}

			options, err := configuredOptions(cfg)
			if err != nil {
				return err
			}

			if known, err := repo.FindSource(ctx, space.ID, path); err == nil {
				return fmt.Errorf("%s is the source %q: %w", path, known.Name, sqlrepo.ErrExists)
			}

			source, err := a.addSource(ctx, repo, space, path, name, options)
			if errors.Is(err, sqlrepo.ErrExists) {
				return fmt.Errorf("a source %q, perhaps a removed one, %w: choose a --name", name, sqlrepo.ErrExists)
			}
			if err != nil {
				return err
			}

			return a.print(newSourceView(space, source), newSourceView(space, source).text)
		}),
	}

	expandArgs(add, config.ExpandPath, 1)
	add.Flags().StringVar(&name, "name", "", "`NAME` of the source (default: the last component of its path)")
	addSourceFlags(add)
	return add
}

// addSource adds a source under the given name, or else under the first free name that its path suggests.
func (a *app) addSource(ctx context.Context, repo *repository, space sqlrepo.Space, path, name string,
	options sqlrepo.SourceOptions) (sqlrepo.Source, error) {
	source := sqlrepo.Source{Space: space.ID, Name: name, Path: []byte(path), SourceOptions: options}
	if name != "" {
		return repo.AddSource(ctx, source)
	}

	for n := 1; ; n++ {
		source.Name = sourceName(path)
		if n > 1 {
			source.Name = fmt.Sprintf("%s-%d", source.Name, n)
		}

		added, err := repo.AddSource(ctx, source)
		if !errors.Is(err, sqlrepo.ErrExists) {
			return added, err
		}

		// Not the name but the path exists already.
		if known, found := repo.FindSource(ctx, space.ID, path); found == nil {
			return known, err
		}
	}
}

// findSource finds a source by its name or path.
func findSource(ctx context.Context, repo *repository, space sqlrepo.Space, nameOrPath string) (sqlrepo.Source, error) {
	source, err := repo.FindSource(ctx, space.ID, nameOrPath)
	if !errors.Is(err, sqlrepo.ErrNotFound) {
		return source, err
	}

	absolute, absErr := filepath.Abs(nameOrPath)
	if absErr != nil {
		return source, err
	}
	if source, found := repo.FindSource(ctx, space.ID, absolute); found == nil {
		return source, nil
	}

	sources, listErr := repo.Sources(ctx, space.ID)
	if listErr != nil {
		return source, errors.Join(err, listErr)
	}
	advice := fmt.Sprintf("guppy source ls %s lists its sources", arguments(space.Name))
	return source, fmt.Errorf("%w in space %q%s", err, space.Name,
		suggested(nameOrPath, namesOf(sources, sourceNamed), advice))
}

// sourceView is a source.
type sourceView struct {
	spaceRef
	Source string `json:"source"` // name of the source
	pathRef
	Excludes []string `json:"excludes"`       // patterns of what is left out
	Symlinks string   `json:"symlink_policy"` // what becomes of symlinks: preserve, follow or skip
	AddedAt  instant  `json:"added_at"`       // when the source was registered
}

func newSourceView(space sqlrepo.Space, s sqlrepo.Source) sourceView {
	return sourceView{
		spaceRef: newSpaceRef(space), Source: s.Name, pathRef: newPathRef(string(s.Path)),
		Excludes: append([]string{}, s.Excludes...), Symlinks: s.SymlinkPolicy, AddedAt: formatTime(s.CreatedAt),
	}
}

func (v sourceView) text(w io.Writer) {
	fmt.Fprintf(w, "%s  %s  symlinks: %s", printable(v.Source), printable(v.Path), v.Symlinks)
	for _, pattern := range v.Excludes {
		fmt.Fprintf(w, "  exclude: %s", printable(pattern))
	}
	fmt.Fprintln(w)
}

// sourceList lists the sources of a space.
func sourceList(space sqlrepo.Space) list[sourceView] {
	return list[sourceView]{
		name: "sources",
		empty: fmt.Sprintf("no sources in space %s yet: guppy source add %s PATH", printable(space.Name),
			arguments(space.Name)),
		columns: []column[sourceView]{
			{"SOURCE", func(v sourceView) string { return printable(v.Source) }, words},
			{"PATH", func(v sourceView) string { return printable(v.Path) }, words},
			{"SYMLINKS", func(v sourceView) string { return v.Symlinks }, whole},
			{"EXCLUDES", func(v sourceView) string { return strings.Join(printables(v.Excludes), " ") }, words},
			{"ADDED (UTC)", func(v sourceView) string { return v.AddedAt.short() }, whole},
		},
	}
}
