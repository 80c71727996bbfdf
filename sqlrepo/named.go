package sqlrepo

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// Named returns the digests that a shard or an index of any space has, except those that are being removed.
func (r *Repository) Named(ctx context.Context, digests []Digest) (named map[Digest]bool, err error) {
	err = r.db.Retry(ctx, "look which files are named", func() error {
		named, err = namedAmong(ctx, r.db.Reader, digests)
		return err
	})
	return named, err
}

// StillNamed is like Named and waits for the seals that are under way. Every seal that was under way at the call is
// committed when StillNamed returns, or never will be: a caller that has moved a file away and learns that no row
// names it may delete the file.
func (r *Repository) StillNamed(ctx context.Context, digests []Digest) (named map[Digest]bool, err error) {
	err = r.db.Transact(ctx, "look which files are still named", func(tx *core.Tx) error {
		if err := lockSpaces(ctx, tx); err != nil {
			return err
		}
		named, err = namedAmong(ctx, tx, digests)
		return err
	})
	return named, err
}

func namedAmong(ctx context.Context, q core.Queryer, digests []Digest) (map[Digest]bool, error) {
	named := map[Digest]bool{}
	if len(digests) == 0 {
		return named, ctx.Err()
	}

	keys := make([][]byte, len(digests))
	for i := range digests {
		keys[i] = digests[i][:]
	}

	for _, query := range []sq.SelectBuilder{
		sq.Select("digest").From("shards").Where(sq.NotEq{"state": ShardRemoving}),
		sq.Select("digest").From("indexes").Where(sq.Eq{"state": IndexStored}),
	} {
		var found [][]byte
		if err := q.List(ctx, &found, query.Where(sq.Eq{"digest": keys})); err != nil {
			return nil, err
		}
		for _, digest := range found {
			named[Digest(digest)] = true
		}
	}
	return named, nil
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
