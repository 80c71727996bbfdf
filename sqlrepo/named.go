package sqlrepo

import (
	"context"
	"fmt"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Need says which stores are to have a file because rows name it.
type Need struct {
	// Here is true if the store that was asked about is to have the file: an upload in it, or in a store that it is a
	// replica of, has a shard or an index with these bytes. It is also true if the upload's store is not recorded.
	Here bool
	// Elsewhere lists the identities of the other stores that are to have the file.
	Elsewhere []string
}

// Named returns which stores are to have the files of shards and indexes, as seen from one of them. Files that no
// row names are left out. Rows that are being removed name none. If the store is "", which stands for one whose
// identity is not known, it is to have every file that a row names.
func (r *Repository) Named(ctx context.Context, store string, digests []Digest) (named map[Digest]Need, err error) {
	err = r.db.Retry(ctx, "look which files are named", func() error {
		named, err = namedAmong(ctx, r.db.Reader, store, digests)
		return err
	})
	return named, err
}

// StillNamed is like Named and waits for the seals that are under way. Every seal that was under way at the call is
// committed when StillNamed returns, or never will be: a caller that has moved a file away and learns that the store
// does not need it may delete the file.
func (r *Repository) StillNamed(ctx context.Context, store string,
	digests []Digest) (named map[Digest]Need, err error) {
	err = r.db.Transact(ctx, "look which files are still named", func(tx *core.Tx) error {
		if err := lockSpaces(ctx, tx); err != nil {
			return err
		}
		named, err = namedAmong(ctx, tx, store, digests)
		return err
	})
	return named, err
}

func namedAmong(ctx context.Context, q core.Queryer, store string, digests []Digest) (map[Digest]Need, error) {
	named := map[Digest]Need{}
	if len(digests) == 0 {
		return named, ctx.Err()
	}

	keys := make([][]byte, len(digests))
	for i := range digests {
		keys[i] = digests[i][:]
	}

	columns := []string{"digest", "COALESCE(keepers.store, '') AS store"}
	for _, query := range []sq.SelectBuilder{
		schema.WithKeepers(sq.Select(columns...).From("shards"), "shards").Where(sq.NotEq{"state": ShardRemoving}),
		schema.WithKeepers(sq.Select(columns...).From("indexes"), "indexes").Where(sq.Eq{"state": IndexStored}),
	} {
		var found []struct {
			Digest []byte `db:"digest"`
			Store  string `db:"store"`
		}
		if err := q.List(ctx, &found, query.Distinct().Where(sq.Eq{"digest": keys})); err != nil {
			return nil, err
		}
		for _, row := range found {
			digest := Digest(row.Digest)
			named[digest] = named[digest].with(row.Store, store)
		}
	}
	return named, nil
}

// with adds a store that is to have the file, as seen from another one.
func (n Need) with(keeper, store string) Need {
	switch {
	case keeper == "" || store == "" || keeper == store:
		n.Here = true
	case !slices.Contains(n.Elsewhere, keeper):
		n.Elsewhere = append(n.Elsewhere, keeper)
	}
	return n
}

// lockSpaces keeps shards and indexes from being recorded until the transaction ends, in all spaces, and in those that
// do not exist yet. It is one lock however many spaces there are: recording changes the row of a space.
func lockSpaces(ctx context.Context, tx *core.Tx) error {
	if tx.DB.TableLock == "" {
		return tx.Flush(ctx)
	}
	if err := tx.Later(ctx, sq.Expr(fmt.Sprintf(tx.DB.TableLock, "spaces")), nil); err != nil {
		return err
	}
	return tx.Flush(ctx)
}

// lockLater locks rows without writing them.
func lockLater(ctx context.Context, tx *core.Tx, rows sq.SelectBuilder) error {
	locked := sq.Select("COUNT(*)").FromSelect(rows.Suffix(tx.DB.RowLock), "locked")
	return tx.LaterRead(ctx, make([]int64, 1), locked, nil)
}
