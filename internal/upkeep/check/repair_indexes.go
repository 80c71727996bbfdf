package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// forgetIndex gives an index up. Other indexes take its place at the end of the repair.
func (m *mending) forgetIndex(ctx context.Context, key int64) (bool, error) {
	return m.once(change{indexForgotten, key}, func() error { return m.auditor().ForgetIndex(ctx, key) })
}

// restoreIndex writes the file of an index again, from rows. If these give another one, the index is given up.
func (m *mending) restoreIndex(ctx context.Context, key int64) (bool, error) {
	row, err := m.Repo.Index(ctx, key)
	if errors.Is(err, sqlrepo.ErrNotFound) || err == nil && row.State != sqlrepo.IndexStored {
		return false, nil // it was given up with the rows of a shard
	}
	if err != nil {
		return false, err
	}

	files, err := m.requireStore(ctx, row.Upload)
	if err != nil {
		return false, fmt.Errorf("index %d: %w", key, err)
	}
	covered, err := m.Repo.Covered(ctx, key)
	if err != nil {
		return false, err
	}

	content, err := index.Verified(ctx, m.Repo, row, covered)
	if err != nil && !blamesRows(ctx, err) {
		return false, err
	}
	if err != nil || int64(len(content)) != row.Size {
		return m.forgetIndex(ctx, key)
	}

	return m.once(change{indexRestored, key}, func() error {
		indexer := index.Indexer{Store: files, Owner: leftovers.IndexOwner()}
		return indexer.Put(ctx, blobindex.Name([32]byte(row.Digest)), content)
	})
}

// index indexes all shards that have no index. It comes last, when everything else is repaired. It needs only rows
// and room in the store.
func (m *mending) index(ctx context.Context) error {
	spaces, err := m.Repo.Spaces(ctx)
	if err != nil {
		return err
	}

	others := &trash.Others{Open: m.openStore}
	keeper := index.Keeper{Repo: m.Repo, Locate: m.storeOfIndexes, Replicas: m.replicasOf, Others: others}
	for _, space := range spaces {
		covered, err := keeper.Cover(ctx, space.ID)
		if err == nil && covered > 0 {
			err = m.did("space %s: %s indexed", space.Name, were(covered, "shard"))
		}

		if err == nil {
			err = keeper.Sweep(ctx, space.ID)
		}
		if err != nil {
			return fmt.Errorf("index the shards of space %q: %w", space.Name, err)
		}
	}

	for _, kept := range others.Kept() {
		if err := m.did("%s", kept); err != nil {
			return err
		}
	}
	return nil
}

// openStore returns the store with an identity, which its marker proves, or store.ErrAbsent.
func (m *mending) openStore(ctx context.Context, identity string) (store.Store, error) {
	place := m.place(identity)
	if place.Files == nil {
		return nil, place.Absent
	}
	return place.Files, known.Prove(ctx, place.Files, place.Store)
}

// replicasOf returns the replicas of an upload's store that are there. In one that is away, files that are removed here
// are strays when it comes back.
func (m *mending) replicasOf(ctx context.Context, upload sqlrepo.Upload) (open []index.Replica, err error) {
	identities, err := m.Repo.ReplicasOf(ctx, upload.Store)
	if err != nil {
		return nil, err
	}
	for _, identity := range identities {
		files, err := m.openStore(ctx, identity)
		if errors.Is(err, store.ErrAbsent) || errors.Is(err, store.ErrUnusable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		open = append(open, index.Replica{Identity: identity, Files: files})
	}
	return open, nil
}

func (m *mending) storeOfIndexes(ctx context.Context, upload sqlrepo.Upload) (store.Store, error) {
	if upload.Store == store.NoneIdentity {
		return store.NewNone(m.TempDir), nil
	}
	return m.requireStore(ctx, upload.ID)
}
