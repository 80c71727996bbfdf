package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// locator finds the source and the store of an upload on this host.
type locator struct {
	*app
	cfg   *config.Config
	repo  *repository
	paths sourcePaths
	// stores opens the stores of the repository.
	stores *known.Stores
}

// locate finds the source and the store of an upload on this host. It returns source.ErrAbsent or store.ErrAbsent,
// with advice, if one of them is missing.
func (l *locator) locate(ctx context.Context, upload sqlrepo.OpenUpload) (*pipeline.Access, error) {
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

	root := l.paths.pathOf(registered)
	held, files, err := l.source(ctx, registered, root, upload.Upload)
	if errors.Is(err, source.ErrAbsent) {
		return nil, fmt.Errorf("%w: mount source %q of space %q there, or map it with --source-path %s=PATH",
			err, registered.Name, space.Name, shellQuoted(registered.Name))
	}
	if err != nil {
		return nil, err
	}

	return &pipeline.Access{Space: space, Store: shards, FS: files, Root: root, Held: held}, nil
}

// store opens the store of an upload.
func (l *locator) store(ctx context.Context, upload sqlrepo.Upload) (store.Store, error) {
	if upload.Store == "" {
		again, err := continuingUpload(ctx, l.repo, upload)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: an older guppy began upload %d and did not record its store: %s does that",
			store.ErrAbsent, upload.ID, again)
	}

	shards, err := l.stores.Open(ctx, upload.Store)
	if err != nil && !errors.Is(err, store.ErrAbsent) && !isAny(err, databaseErrors) {
		err = fmt.Errorf("%w: %w", store.ErrAbsent, err)
	}
	return shards, err
}

// source opens the source of an upload and proves that it is at root. The caller closes it.
func (l *locator) source(ctx context.Context, registered sqlrepo.Source, root string,
	upload sqlrepo.Upload) (*source.Held, source.FS, error) {
	err := refuseOwnFiles(l.cfg, root)
	if err == nil {
		err = refuseStore(ctx, l.cfg, l.repo, root)
	}
	if isAny(err, databaseErrors) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", source.ErrAbsent, err)
	}

	held, files, err := l.hold(ctx, l.cfg, l.repo, registered, root, upload.SourceOptions)
	if isAny(err, databaseErrors) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", source.ErrAbsent, err)
	}

	// A file system that is not mounted leaves an empty directory at root.
	if err := pipeline.VerifySource(ctx, l.repo, files, root, upload); err != nil {
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
