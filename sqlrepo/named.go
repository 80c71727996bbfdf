package sqlrepo

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// StillNamed returns the digests that a shard or an index of any space has. Every seal that was under way at the
// call is committed when StillNamed returns, or never will be: a caller that has moved a file away and learns that
// no row names it may delete the file.
func (r *Repository) StillNamed(ctx context.Context, digests []Digest) (named map[Digest]bool, err error) {
	keys := make([][]byte, len(digests))
	for i := range digests {
		keys[i] = digests[i][:]
	}

	err = r.db.Transact(ctx, "look which files are named", func(tx *core.Tx) error {
		named = map[Digest]bool{}
		// This waits for the seals that are under way.
		if err := r.lockSpaces(ctx, tx); err != nil {
			return err
		}

		for _, names := range []func(context.Context, core.Queryer, [][]byte) (map[string]bool, error){
			r.namedDigests, r.namedIndexes,
		} {
			some, err := names(ctx, tx, keys)
			if err != nil {
				return err
			}
			for digest := range some {
				named[Digest([]byte(digest))] = true
			}
		}
		return nil
	})
	return named, err
}

// lockSpaces keeps shards and indexes from being recorded until the transaction ends. This includes spaces that do
// not exist yet: adding a space takes a key from the locked counter.
func (r *Repository) lockSpaces(ctx context.Context, tx *core.Tx) error {
	counter := sq.Update(core.CounterTable).Set("value", sq.Expr("value")).Where(sq.Eq{"name": "spaces"})
	if err := tx.Later(ctx, counter, nil); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, sq.Update("spaces").Set("revision", sq.Expr("revision")))
	return err
}

func (r *Repository) namedDigests(ctx context.Context, q core.Queryer, digests [][]byte) (map[string]bool, error) {
	named := map[string]bool{}
	if len(digests) == 0 {
		return named, ctx.Err()
	}
	var others [][]byte
	err := q.List(ctx, &others, sq.Select("digest").From("shards").Where(sq.Eq{"digest": digests}).
		Where(sq.NotEq{"state": ShardRemoving}))
	for _, digest := range others {
		named[string(digest)] = true
	}
	return named, err
}

// Unnamed returns the digests of CAR files that no shard has, in the given order.
func (r *Repository) Unnamed(ctx context.Context, digests [][]byte) (unnamed [][]byte, err error) {
	err = r.db.Retry(ctx, "look for shards", func() error {
		named, err := r.namedDigests(ctx, r.db.Reader, digests)
		unnamed = nil
		for _, digest := range digests {
			if !named[string(digest)] {
				unnamed = append(unnamed, digest)
			}
		}
		return err
	})
	return unnamed, err
}

// namedIndexes returns the digests that stored indexes have.
func (r *Repository) namedIndexes(ctx context.Context, q core.Queryer, digests [][]byte) (map[string]bool, error) {
	named := map[string]bool{}
	if len(digests) == 0 {
		return named, ctx.Err()
	}
	var found [][]byte
	err := q.List(ctx, &found, sq.Select("digest").From("indexes").
		Where(sq.Eq{"digest": digests, "state": IndexStored}))
	for _, digest := range found {
		named[string(digest)] = true
	}
	return named, err
}

// UnnamedIndexes returns the digests that no stored index has, in the given order.
func (r *Repository) UnnamedIndexes(ctx context.Context, digests [][]byte) (unnamed [][]byte, err error) {
	err = r.db.Retry(ctx, "look for indexes", func() error {
		named, err := r.namedIndexes(ctx, r.db.Reader, digests)
		unnamed = nil
		for _, digest := range digests {
			if !named[string(digest)] {
				unnamed = append(unnamed, digest)
			}
		}
		return err
	})
	return unnamed, err
}
