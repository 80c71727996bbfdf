package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
)

// storeUsage describes the values of --store.
const storeUsage = "`STORE` of the shards: a directory, an s3:// URL or none: (default: shards in the data directory)"

// tidyDataDir removes the leftovers of killed processes from the data directory. Leftovers that can't be removed
// do no harm.
func (a *app) tidyDataDir(cfg *config.Config) {
	if err := errors.Join(durable.SweepUnnamed(cfg.Repo.DataDir), backup.Sweep(cfg.Repo.DataDir)); err != nil {
		a.log.Warn("could not remove what killed processes left in the data directory", "reason", err)
	}
}

// openStore opens the configured store. It creates a directory that does not exist, unless uploads have stored shards
// there before. Then the directory is most likely not mounted, and openStore returns store.ErrAbsent. It returns
// pipeline.ErrUnmarked for a store that has lost its marker.
func (a *app) openStore(ctx context.Context, cfg *config.Config, repo *repository) (store.Store, error) {
	files, err := a.findStore(ctx, cfg)
	if err == nil {
		return files, pipeline.RefuseUnmarked(ctx, repo.Repository, files)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}

	url, err := store.DirectoryURL(cfg.Prepare.StoreDirectory())
	if err != nil {
		return nil, err
	}
	if err := pipeline.RefuseUnmounted(ctx, repo.Repository, url); err != nil {
		return nil, err
	}
	return store.OpenURL(ctx, cfg.Prepare.Store, a.storeOptions(cfg, false))
}

// storeOptions returns the options for opening any store.
func (a *app) storeOptions(cfg *config.Config, existing bool) store.Options {
	return store.Options{TempDir: cfg.Repo.DataDir, Existing: existing, RetryFor: cfg.Store.RetryFor, Log: a.log}
}

// findStore is like openStore but the store must exist, because a missing one may just not be mounted.
func (a *app) findStore(ctx context.Context, cfg *config.Config) (store.Store, error) {
	return store.OpenURL(ctx, cfg.Prepare.Store, a.storeOptions(cfg, true))
}
