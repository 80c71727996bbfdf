package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrUnmarked is returned for a store that has shards but has lost its identity.
var ErrUnmarked = errors.New(
	"the store has shards, but its marker file is gone: guppy check --repair --yes restores it")

// RefuseUnmarked returns an error for a store without an identity that had one before. A new identity would make it a
// store that no upload knows. It returns ErrUnmarked if the store has shards, and store.ErrAbsent if uploads have
// shards there but the directory has none: most likely its file system is not mounted.
func RefuseUnmarked(ctx context.Context, repo *sqlrepo.Repository, files store.Store) error {
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

		// Perhaps only an older guppy has filled it. Then it may get its first identity.
		if known, err := repo.KnowsStores(ctx); err != nil || known {
			return errors.Join(err, ErrUnmarked)
		}
		return nil
	}

	// The URL of a bucket does not name its server, so buckets of one name can't be told apart.
	if _, ok := files.(*store.Directory); !ok {
		return nil
	}
	return RefuseUnmounted(ctx, repo, strings.TrimSuffix(files.Location("x"), "x"))
}

// RefuseUnmounted returns store.ErrAbsent if uploads have stored shards below the URL of a directory, in which there is
// no store now.
func RefuseUnmounted(ctx context.Context, repo *sqlrepo.Repository, url string) error {
	known, err := repo.StoreLocations(ctx)
	if err != nil {
		return err
	}

	for _, was := range slices.Backward(known) {
		if was.URL == url {
			return fmt.Errorf("%w: uploads have shards in the store %s at %s, and nothing of it is there now: mount it, or "+
				"name another directory with --store", store.ErrAbsent, was.Store, url)
		}
	}
	return nil
}
