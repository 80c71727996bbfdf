package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const acceptSource = "accept-source"

// addAcceptFlag adds the flag that accepts a source as it is now.
func (a *app) addAcceptFlag(command *cobra.Command) {
	command.Flags().BoolVar(&a.acceptSource, acceptSource, false,
		"accept the source as it is now, on another mount or empty, and remember that")
}

// hold opens a registered source at a path of this host. It makes sure that the source is still what it was at
// its last scan there, and otherwise returns pipeline.ErrAnotherSource, unless the user accepts the source as it
// is now. The caller closes the source.
func (a *app) hold(ctx context.Context, cfg *config.Config, repo *repository, registered sqlrepo.Source, path string,
	options sqlrepo.SourceOptions) (*source.Held, source.FS, error) {
	scanning, err := source.ParseOptions(options.Excludes, options.SymlinkPolicy)
	if err != nil {
		return nil, nil, err
	}

	held, err := source.Hold(path, scanning)
	if err != nil {
		return nil, nil, err
	}

	// The source may contain guppy's own files.
	files, err := visibleFiles(ctx, cfg, repo, held)
	if err == nil {
		err = a.recognize(ctx, repo, registered, files, held)
	}

	if err != nil {
		return nil, nil, errors.Join(err, held.Close())
	}
	return held, files, nil
}

// recognize compares a source with its last sighting. If the user accepts the source, recognize stores the
// present sighting.
func (a *app) recognize(ctx context.Context, repo *repository, registered sqlrepo.Source, files source.FS,
	held *source.Held) error {
	err := pipeline.Recognize(ctx, repo, registered, files, held)
	if !errors.Is(err, pipeline.ErrAnotherSource) {
		return err
	}

	if !a.accepts(registered.ID) {
		space, spaceErr := spaceOf(ctx, repo, registered)
		if spaceErr != nil {
			return spaceErr
		}
		return fmt.Errorf("%w: mount what belongs there, or accept what is there with --%s; %s prints what is remembered",
			err, acceptSource, showSource(space, registered))
	}

	a.log.Warn("the source is accepted as it is now", "source", registered.Name, "reason", err)
	return repo.AcceptSighting(ctx, registered.ID, held.Sighting())
}

// showSource returns the command that prints what is remembered of a source.
func showSource(space sqlrepo.Space, registered sqlrepo.Source) string {
	return fmt.Sprintf("guppy source show %s", arguments(space.Name, registered.Name))
}

// accepts reports whether the user accepts the source as it is. It does so once for each source, because a worker
// must not accept whatever happens later.
func (a *app) accepts(id int64) bool {
	if !a.acceptSource || a.accepted[id] {
		return false
	}
	if a.accepted == nil {
		a.accepted = map[int64]bool{}
	}
	a.accepted[id] = true
	return true
}

// missing returns why a path with nothing at it can't be prepared. A source that was scanned there before is
// missing. Any other path is a mistake.
func (a *app) missing(ctx context.Context, cfg *config.Config, path string, mistake error) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return mistake
	}

	var seen sqlrepo.Sighting
	var show, move string
	err = a.withRepository(ctx, cfg, existing, func(repo *repository) error {
		space, err := repo.FindSpace(ctx, cfg.Prepare.Space)
		if err != nil {
			return err
		}

		registered, err := repo.FindSource(ctx, space.ID, absolute)
		if err != nil {
			return err
		}

		show = showSource(space, registered)
		move = fmt.Sprintf("guppy source mv %s PATH", arguments(space.Name, registered.Name))
		var known bool
		if seen, known = registered.Sightings.At(absolute); !known {
			return sqlrepo.ErrNotFound
		}
		return nil
	})

	if err != nil {
		// No repository knows the path.
		return mistake
	}
	return fmt.Errorf("%w: nothing is at %s, which was %s at the last scan: mount what belongs there; "+
		"%s prints what is remembered, and %s records where it is now if it has moved", pipeline.ErrAnotherSource, absolute,
		source.Describe(seen.Mount), show, move)
}
