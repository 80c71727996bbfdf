package main

import (
	"context"
	"errors"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
)

// storeUsage is what --store takes.
const storeUsage = "`STORE` of the shards: a directory, s3://BUCKET/PREFIX?endpoint=URL&region=REGION, or none: " +
	"(default: shards in the data directory)"

// tidyDataDir removes from the data directory what processes have left that were killed. What can't be removed is in
// nobody's way.
func (a *app) tidyDataDir(cfg *config.Config) {
	if err := errors.Join(durable.SweepUnnamed(cfg.Repo.DataDir), backup.Sweep(cfg.Repo.DataDir)); err != nil {
		a.log.Warn("leftovers of killed processes stay in the data directory", "reason", err)
	}
}

// openStore opens the store that is configured. A directory is made if it is absent.
func (a *app) openStore(ctx context.Context, cfg *config.Config) (store.Store, error) {
	return store.OpenURL(ctx, cfg.Prepare.Store, a.storeOptions(cfg, false))
}

// storeOptions are those of any store.
func (a *app) storeOptions(cfg *config.Config, existing bool) store.Options {
	return store.Options{TempDir: cfg.Repo.DataDir, Existing: existing, RetryFor: cfg.Store.RetryFor, Log: a.log}
}

// findStore is openStore for a store that has to be there: what is missing may just not be mounted.
func (a *app) findStore(ctx context.Context, cfg *config.Config) (store.Store, error) {
	return store.OpenURL(ctx, cfg.Prepare.Store, a.storeOptions(cfg, true))
}
