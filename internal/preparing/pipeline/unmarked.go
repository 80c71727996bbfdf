package pipeline

import (
	"context"
	"errors"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrUnmarked is returned for a store that has shards but has lost its identity.
var ErrUnmarked = errors.New(
	"the store has shards, but its marker file is gone: guppy check --repair --yes restores it")

// refuseUnmarked returns ErrUnmarked for a store that has lost its identity. A new identity would make it a store
// that no upload knows. A store that is empty, or that only an older guppy has filled, may get its first identity.
func refuseUnmarked(ctx context.Context, repo *sqlrepo.Repository, files store.Store) error {
	identity, err := files.Marker(ctx)
	if err != nil || identity != "" {
		return err
	}

	for file, err := range files.Committed(ctx) {
		if err != nil {
			return err
		}
		if _, ok := shard.ParseName(file.Name); !ok {
			continue
		}

		if known, err := repo.KnowsStores(ctx); err != nil || known {
			return errors.Join(err, ErrUnmarked)
		}
		return nil
	}
	return nil
}
