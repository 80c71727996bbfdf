package index

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Replica is a replica that is there.
type Replica struct {
	Identity string
	Files    store.Store
}

// send brings new indexes of an upload to the replicas of its store that are there: the next run that sends may be far
// away. What a replica can't take is left to that run.
func (k *Keeper) send(ctx context.Context, indexer *Indexer, upload sqlrepo.Upload, indexes []sqlrepo.NewIndex) error {
	if k.Replicas == nil {
		return nil
	}
	replicas, err := k.Replicas(ctx, upload)
	if err != nil {
		return err
	}

	for _, replica := range replicas {
		for _, index := range indexes {
			order := delivery.Order{
				From: indexer.Store, To: replica.Files, Owner: indexer.Owner,
				Name: blobindex.Name([32]byte(index.Digest)), Digest: [32]byte(index.Digest), Size: index.Size,
			}
			if err := k.deliver(ctx, indexer.Space, replica, order); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver brings an index to a replica and records that, unless a removal is quicker.
func (k *Keeper) deliver(ctx context.Context, space int64, replica Replica, order delivery.Order) error {
	if _, err := delivery.Deliver(ctx, order); err != nil {
		return k.left(ctx, replica, order, err)
	}

	digests := []sqlrepo.Digest{order.Digest}
	unneeded, err := k.Repo.AddCopies(ctx, replica.Identity, digests)
	if err != nil {
		return err
	}
	if len(unneeded) > 0 {
		return RemoveCopies(ctx, k.Repo, []Replica{replica}, k.Others, space, []string{order.Name})
	}

	// A removal may have taken the file before it was needed again.
	if err := replica.Files.Confirm(ctx, order.Name); err != nil {
		return errors.Join(k.Repo.ForgetCopies(ctx, replica.Identity, digests), k.left(ctx, replica, order, err))
	}
	return nil
}

// left reports an index that was not sent. It returns an error only if the context has ended.
func (k *Keeper) left(ctx context.Context, replica Replica, order delivery.Order, reason error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if k.Unsent != nil {
		k.Unsent(replica, fmt.Errorf("%s: %w", order.Name, reason))
	}
	return nil
}

// RemoveCopies removes files from replicas that don't need them any more, as trash.Bin.Remove does. First it forgets
// that they are there: the next sync looks for them again.
func RemoveCopies(ctx context.Context, repo *sqlrepo.Repository, replicas []Replica, others *trash.Others, space int64,
	names []string) error {
	var digests []sqlrepo.Digest
	for _, name := range names {
		if digest, ok := trash.ParseName(name); ok {
			digests = append(digests, digest)
		}
	}

	for _, replica := range replicas {
		if err := repo.ForgetCopies(ctx, replica.Identity, digests); err != nil {
			return err
		}
		bin, err := trash.Find(ctx, repo, replica.Files, space)
		if err != nil {
			return err
		}
		bin.Others = others
		if _, err := bin.Remove(ctx, names); err != nil {
			return err
		}
	}
	return nil
}
