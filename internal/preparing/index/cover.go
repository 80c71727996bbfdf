package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Keeper indexes the shards of a space again when their indexes are gone, and removes what is left of those
// indexes.
type Keeper struct {
	Repo *sqlrepo.Repository
	// Locate finds the store that holds an upload's shards.
	Locate func(ctx context.Context, upload sqlrepo.Upload) (store.Store, error)
	// Replicas, if not nil, returns the replicas of that store that are there. They get the new indexes, and files are
	// removed from them, too.
	Replicas func(ctx context.Context, upload sqlrepo.Upload) ([]Replica, error)
	// Others, if not nil, proves that other stores have the files that they need, before these are removed.
	Others *trash.Others
	// Unsent, if not nil, is called when a replica could not take a new index. The next run sends it again.
	Unsent func(replica Replica, reason error)
}

// Keep calls Cover and then Sweep. If there is nothing to do, it does not even locate a store.
func (k *Keeper) Keep(ctx context.Context, space int64) error {
	if _, err := k.Cover(ctx, space); err != nil {
		return err
	}
	return k.Sweep(ctx, space)
}

// Cover makes indexes over the shards of a space that no index covers, in the name of the space's latest complete
// upload. It returns the number of shards covered. Without a complete upload, the shards wait for the next one.
func (k *Keeper) Cover(ctx context.Context, space int64) (covered int64, err error) {
	err = untilUnchanged(func() error {
		upload, err := k.owner(ctx, space)
		if errors.Is(err, sqlrepo.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}

		// The store is located only if there is something to cover.
		files, err := k.Locate(ctx, upload)
		if err != nil {
			return err
		}

		indexer := Indexer{Store: files, Owner: leftovers.IndexOwner(), Space: space}
		save := func(indexes []sqlrepo.NewIndex) error {
			if err := k.Repo.CoverShards(ctx, upload.ID, indexes); err != nil {
				return err
			}
			for _, index := range indexes {
				covered += index.Shards
			}
			return k.send(ctx, &indexer, upload, indexes)
		}
		last, err := indexer.cover(ctx, k.Repo, upload, save)
		if err != nil || len(last) == 0 {
			return err
		}

		return indexer.save(ctx, k.Repo, last, save)
	})
	return covered, err
}

// owner returns the upload in whose name the shards of a space are covered. It returns sqlrepo.ErrNotFound if there
// is no such upload or no shard to cover.
func (k *Keeper) owner(ctx context.Context, space int64) (sqlrepo.Upload, error) {
	for _, err := range k.Repo.Uncovered(ctx, space, 0) {
		if err != nil {
			return sqlrepo.Upload{}, err
		}
		return k.Repo.LatestComplete(ctx, space)
	}
	return sqlrepo.Upload{}, sqlrepo.ErrNotFound
}

// Sweep removes the indexes of a space that no longer cover anything, with their files. If an index's store can't
// be located, the index stays, the others are removed, and Sweep returns the error.
func (k *Keeper) Sweep(ctx context.Context, space int64) (unseen error) {
	removing := sqlrepo.IndexFilter{Space: &space, States: []sqlrepo.IndexState{sqlrepo.IndexRemoving}}
	for row, err := range k.Repo.Indexes(ctx, removing) {
		if err != nil {
			return err
		}

		upload, err := k.Repo.Upload(ctx, row.Upload)
		if err != nil {
			return err
		}

		files, err := k.Locate(ctx, upload)
		if err != nil {
			// Other stores may still be found.
			unseen = fmt.Errorf("upload %d: %w", upload.ID, err)
			continue
		}

		if err := k.remove(ctx, files, space, upload, row); err != nil {
			return err
		}
	}
	return unseen
}

// remove removes the file of an index, then its row.
func (k *Keeper) remove(ctx context.Context, files store.Store, space int64, upload sqlrepo.Upload,
	row sqlrepo.Index) error {
	if len(row.Digest) == len(sqlrepo.Digest{}) { // an index with another digest can't have a file
		names := []string{blobindex.Name([32]byte(row.Digest))}
		bin, err := trash.Find(ctx, k.Repo, files, space)
		if err != nil {
			return err
		}
		bin.Others = k.Others
		if _, err := bin.Remove(ctx, names); err != nil {
			return err
		}

		if k.Replicas != nil {
			replicas, err := k.Replicas(ctx, upload)
			if err != nil {
				return err
			}
			if err := RemoveCopies(ctx, k.Repo, replicas, k.Others, space, names); err != nil {
				return err
			}
		}
	}

	return k.Repo.RemoveIndex(ctx, row.ID)
}
