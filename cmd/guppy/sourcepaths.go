package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// sourcePaths maps the keys of sources to their paths on this host. It lacks sources that are where they were
// registered.
type sourcePaths map[int64]string

func (p sourcePaths) pathOf(source sqlrepo.Source) string {
	if path, ok := p[source.ID]; ok {
		return path
	}
	return string(source.Path)
}

// mapSources finds the sources that the SOURCE=PATH settings name.
func mapSources(ctx context.Context, cfg *config.Config, repo *repository) (sourcePaths, error) {
	paths := sourcePaths{}
	if len(cfg.Worker.SourcePaths) == 0 {
		return paths, nil
	}

	known, err := knownSources(ctx, repo)
	if err != nil {
		return nil, err
	}

	for _, pair := range cfg.Worker.SourcePaths {
		if err := paths.add(known, pair); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUsage, cfg.Origin("worker.source_paths"), err)
		}
	}
	return paths, nil
}

// spaceSource is a source with the name of its space.
type spaceSource struct {
	space string
	sqlrepo.Source
}

func (s spaceSource) isCalled(name string) bool {
	return s.Name == name || s.space+"/"+s.Name == name || string(s.Path) == name
}

func knownSources(ctx context.Context, repo *repository) (known []spaceSource, err error) {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return nil, err
	}

	for _, space := range spaces {
		sources, err := repo.Sources(ctx, space.ID)
		if err != nil {
			return nil, err
		}
		for _, source := range sources {
			known = append(known, spaceSource{space.Name, source})
		}
	}
	return known, nil
}

// add adds one SOURCE=PATH. A name or path of sources in several spaces needs the name of the space before it.
func (p sourcePaths) add(known []spaceSource, pair string) error {
	name, path, ok := cutPair(known, pair)
	if !ok {
		return fmt.Errorf("%q does not have the form SOURCE=PATH", pair)
	}

	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}

	var called []string
	for _, source := range known {
		if !source.isCalled(name) {
			continue
		}
		if other, twice := p[source.ID]; twice && other != absolute {
			return fmt.Errorf("source %q has two paths, %s and %s", name, other, absolute)
		}

		p[source.ID] = absolute
		called = append(called, source.space+"/"+source.Name)
	}

	switch len(called) {
	case 0:
		return fmt.Errorf("there is no source %q: guppy upload ls lists the sources of uploads", name)
	case 1:
		return nil
	}
	return fmt.Errorf("%q is the name of several sources, choose one: %s", name, strings.Join(called, ", "))
}

// cutPair cuts at the first "=" that leaves the name of a source, because names and paths may contain one, too.
func cutPair(known []spaceSource, pair string) (name, path string, ok bool) {
	for i, r := range pair {
		if r != '=' || i == 0 || i == len(pair)-1 {
			continue
		}

		for _, source := range known {
			if source.isCalled(pair[:i]) {
				return pair[:i], pair[i+1:], true
			}
		}
	}

	name, path, _ = strings.Cut(pair, "=")
	return name, path, name != "" && path != ""
}
