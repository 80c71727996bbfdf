package sqlrepo

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// shardNames and indexNames select the digests of files that rows name.
var (
	shardNames = sq.Select("digest").From("shards").Where(sq.NotEq{"state": ShardRemoving})
	indexNames = sq.Select("digest").From("indexes").Where(sq.Eq{"state": IndexStored})
)

// namedBy returns which digests are among those that some rows name.
func namedBy(ctx context.Context, q core.Queryer, names sq.SelectBuilder, digests [][]byte) (map[string]bool, error) {
	var found [][]byte
	err := q.List(ctx, &found, names.Where(sq.Eq{"digest": digests}))

	named := make(map[string]bool, len(found))
	for _, digest := range found {
		named[string(digest)] = true
	}
	return named, err
}

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
		if err := lockSpaces(ctx, tx); err != nil {
			return err
		}

		for _, names := range []sq.SelectBuilder{shardNames, indexNames} {
			found, err := namedBy(ctx, tx, names, keys)
			if err != nil {
				return err
			}
			for digest := range found {
				named[Digest([]byte(digest))] = true
			}
		}
		return nil
	})
	return named, err
}

// lockSpaces keeps shards and indexes from being recorded until the transaction ends. This includes spaces that do
// not exist yet: adding a space takes a key from the locked counter.
func lockSpaces(ctx context.Context, tx *core.Tx) error {
	counter := sq.Update(core.CounterTable).Set("value", sq.Expr("value")).Where(sq.Eq{"name": "spaces"})
	if err := tx.Later(ctx, counter, nil); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, sq.Update("spaces").Set("revision", sq.Expr("revision")))
	return err
}

// Unnamed returns the digests of CAR files that no shard has, in the given order.
func (r *Repository) Unnamed(ctx context.Context, digests [][]byte) ([][]byte, error) {
	return r.unnamed(ctx, "look for shards", shardNames, digests)
}

// UnnamedIndexes returns the digests that no stored index has, in the given order.
func (r *Repository) UnnamedIndexes(ctx context.Context, digests [][]byte) ([][]byte, error) {
	return r.unnamed(ctx, "look for indexes", indexNames, digests)
}

func (r *Repository) unnamed(ctx context.Context, doing string, names sq.SelectBuilder,
	digests [][]byte) (unnamed [][]byte, err error) {
	err = r.db.Retry(ctx, doing, func() error {
		named, err := namedBy(ctx, r.db.Reader, names, digests)
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
