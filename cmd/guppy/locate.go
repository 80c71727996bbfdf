package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// locator finds the source and the store of an upload on this host.
type locator struct {
	*app
	cfg   *config.Config
	repo  *repository
	paths sourcePaths
}

// locate finds the source and the store of an upload on this host. If one of them is missing it returns
// store.ErrOutOfSight with advice.
func (l *locator) locate(ctx context.Context, upload sqlrepo.OpenUpload) (*pipeline.Site, error) {
	shards, err := l.store(ctx, upload.Upload)
	if err != nil {
		return nil, err
	}

	registered, err := l.repo.Source(ctx, upload.Source)
	if err != nil {
		return nil, err
	}
	space, err := spaceOf(ctx, l.repo, registered)
	if err != nil {
		return nil, err
	}

	root := l.paths.of(registered)
	held, files, err := l.source(ctx, registered, root, upload.Upload)
	if errors.Is(err, store.ErrOutOfSight) {
		return nil, fmt.Errorf("%w: mount source %q of space %q there, or say where it is with --source-path %s=PATH",
			err, registered.Name, space.Name, registered.Name)
	}
	if err != nil {
		return nil, err
	}

	return &pipeline.Site{Space: space, Store: shards, FS: files, Root: root, Held: held}, nil
}

// store opens the configured store and proves by its marker that it is the store of the upload.
func (l *locator) store(ctx context.Context, upload sqlrepo.Upload) (store.Store, error) {
	path := l.cfg.Prepare.Store
	// A store that keeps nothing need not be seen by any host.
	if upload.Store == store.NoneIdentity {
		return store.NewNone(l.cfg.Repo.DataDir), nil
	}

	if upload.Store == "" {
		return nil, fmt.Errorf("%w: an older guppy began upload %d: run guppy prepare or guppy upload on its source once, "+
			"so that its store is known", store.ErrOutOfSight, upload.ID)
	}

	shards, err := l.findStore(ctx, l.cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: mount the store there, or say where it is with --store", store.ErrOutOfSight, err)
	}

	marker, err := shards.Marker(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", store.ErrOutOfSight, err)
	case marker == "":
		return nil, fmt.Errorf("%w: %s is no store: mount it there, or say where it is with --store",
			store.ErrOutOfSight, path)
	case marker != upload.Store:
		return nil, fmt.Errorf("%w: %s is another store than that of upload %d: say where that is with --store",
			store.ErrOutOfSight, path, upload.ID)
	}

	return shards, nil
}

// source opens the source of an upload and proves that it is at root. The caller closes it.
func (l *locator) source(ctx context.Context, registered sqlrepo.Source, root string,
	upload sqlrepo.Upload) (*source.Held, source.FS, error) {
	if err := refuseOwnFiles(l.cfg, root); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", store.ErrOutOfSight, err)
	}

	held, files, err := l.hold(ctx, l.cfg, l.repo, registered, root, upload.SourceOptions)
	if isAny(err, databaseErrors) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", store.ErrOutOfSight, err)
	}

	// A file system that is not mounted leaves an empty directory at root.
	if err := pipeline.Sees(ctx, l.repo, files, root, upload); err != nil {
		return nil, nil, errors.Join(err, held.Close())
	}
	return held, files, nil
}

// spaceOf returns the space of a source.
func spaceOf(ctx context.Context, repo *repository, source sqlrepo.Source) (sqlrepo.Space, error) {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return sqlrepo.Space{}, err
	}
	for _, space := range spaces {
		if space.ID == source.Space {
			return space, nil
		}
	}
	return sqlrepo.Space{}, fmt.Errorf("space of source %q: %w", source.Name, sqlrepo.ErrNotFound)
}
