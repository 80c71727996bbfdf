package main

import (
	"context"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/store"
)

// storeUsage is what --store takes.
const storeUsage = "`STORE` of the shards: a directory, s3://BUCKET/PREFIX?endpoint=URL&region=REGION, or none: " +
	"(default: shards in the data directory)"

// openStore opens the store that is configured. A directory is made if it is absent.
func openStore(ctx context.Context, cfg *config.Config) (store.Store, error) {
	return store.OpenURL(ctx, cfg.Prepare.Store, store.Options{TempDir: cfg.Repo.DataDir})
}

// findStore is openStore for a store that has to be there: what is missing may just not be mounted.
func findStore(ctx context.Context, cfg *config.Config) (store.Store, error) {
	return store.OpenURL(ctx, cfg.Prepare.Store, store.Options{TempDir: cfg.Repo.DataDir, Existing: true})
}
