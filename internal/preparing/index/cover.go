package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Keeper has the shards of a space indexed again whose indexes are gone, and removes what is left of those.
type Keeper struct {
	Repo *sqlrepo.Repository
	// Locate finds the store that an upload's shards went to.
	Locate func(ctx context.Context, upload sqlrepo.Upload) (store.Store, error)
}

// Owners begins the owners of what keepers have begun to write.
const Owners = "index-"

// Keep is Cover and then Sweep. It does nothing, and finds no store, where there is nothing to do.
func (k *Keeper) Keep(ctx context.Context, space int64) error {
	if _, err := k.Cover(ctx, space); err != nil {
		return err
	}
	return k.Sweep(ctx, space)
}

// Cover makes indexes over the shards of a space that none covers, in the name of its latest complete upload, and tells
// how many shards that were. Without such an upload they wait for the next one.
func (k *Keeper) Cover(ctx context.Context, space int64) (covered int64, err error) {
	err = untilUnchanged(func() error {
		upload, err := k.owner(ctx, space)
		if errors.Is(err, sqlrepo.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		files, err := k.Locate(ctx, upload)
		if err != nil {
			return err
		}
		save := func(indexes []sqlrepo.NewIndex) error {
			err := k.Repo.CoverShards(ctx, upload.ID, indexes)
			for _, index := range indexes {
				if err == nil {
					covered += index.Shards
				}
			}
			return err
		}
		indexer := Indexer{Store: files, Owner: fmt.Sprintf("%s%d", Owners, upload.ID), Space: space}
		last, err := indexer.cover(ctx, k.Repo, upload, save)
		if err != nil || len(last) == 0 {
			return err
		}
		return indexer.save(ctx, k.Repo, last, save)
	})
	return covered, err
}

// owner is the upload in whose name shards of a space are covered, or sqlrepo.ErrNotFound if there is none, or nothing
// to cover.
func (k *Keeper) owner(ctx context.Context, space int64) (sqlrepo.Upload, error) {
	for _, err := range k.Repo.Uncovered(ctx, space, 0) {
		if err != nil {
			return sqlrepo.Upload{}, err
		}
		return k.Repo.LatestComplete(ctx, space)
	}
	return sqlrepo.Upload{}, sqlrepo.ErrNotFound
}

// Sweep removes the indexes of a space that cover nothing any more, with their files. Those whose store is not found
// stay, and keep no others from being removed.
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
			unseen = fmt.Errorf("of upload %d: %w", upload.ID, err)
			continue
		}
		if err := k.remove(ctx, files, space, row); err != nil {
			return err
		}
	}
	return unseen
}

// remove removes the file of an index, then its row.
func (k *Keeper) remove(ctx context.Context, files store.Store, space int64, row sqlrepo.Index) error {
	if len(row.Digest) == len(sqlrepo.Digest{}) { // else it can't have a file
		bin, err := trash.Find(ctx, k.Repo, files, space)
		if err != nil {
			return err
		}
		if _, err := bin.Remove(ctx, []string{blobindex.Name([32]byte(row.Digest))}); err != nil {
			return err
		}
	}
	return k.Repo.RemoveIndex(ctx, row.ID)
}
