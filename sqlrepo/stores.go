package sqlrepo

import (
	"context"
	"errors"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// ErrStoreInUse is returned when a store is to be forgotten that uploads or spaces have, also as a replica.
var ErrStoreInUse = errors.New("the store is in use")

// Store is a store that the repository knows. All shards and indexes of an upload are in the upload's store, under
// names made from their digests.
type Store struct {
	// Identity is what the store's marker holds. It never changes.
	Identity string `db:"identity"`
	// Name is what people call the store.
	Name string `db:"name"`
	// URL is where the store is, or "" if nobody knows.
	URL       string `db:"url"`
	CreatedAt Time   `db:"created_at"`
	// SeenAt is when an upload was last opened in the store.
	SeenAt Time `db:"seen_at"`
}

// StoreUse counts what a store is used for.
type StoreUse struct {
	Identity string `db:"store"`
	// Uploads counts all uploads, also removed ones, of which something is left.
	Uploads int64 `db:"uploads"`
	// Removed counts those of them that were removed.
	Removed int64 `db:"removed"`
	// Shards and Bytes count the shards of these uploads.
	Shards int64 `db:"shards"`
	Bytes  int64 `db:"bytes"`
}

// AddStore adds a store and returns it with its time. Text makes its name fit. AddStore returns ErrExists if the
// identity is known or the name is taken.
func (r *Repository) AddStore(ctx context.Context, store Store) (Store, error) {
	store.Name, store.CreatedAt, store.SeenAt = Text(store.Name), NewTime(r.db.Now()), Time{}
	err := r.db.Transact(ctx, fmt.Sprintf("add store %q", store.Name), func(tx *core.Tx) error {
		return tx.Later(ctx, sq.Insert("stores").Columns(schema.StoreColumns...).
			Values(store.Identity, store.Name, store.URL, store.CreatedAt, store.SeenAt), nil)
	})
	return store, err
}

// Stores lists all stores by name.
func (r *Repository) Stores(ctx context.Context) (stores []Store, err error) {
	err = r.db.ReadAll(ctx, "list stores", &stores, sq.Select(schema.StoreColumns...).From("stores").OrderBy("name"))
	return stores, err
}

// StoreUses counts what each store is used for. It leaves out stores that no upload has.
func (r *Repository) StoreUses(ctx context.Context) (uses []StoreUse, err error) {
	count := sq.Select("store", "COUNT(DISTINCT uploads.id) AS uploads", "COUNT(shards.id) AS shards").
		Column(sq.Expr("COUNT(DISTINCT CASE WHEN uploads.state = ? THEN uploads.id END) AS removed", Removed)).
		Column("CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes").From("uploads").
		LeftJoin("shards ON shards.upload = uploads.id AND shards.digest IS NOT NULL").
		Where(sq.NotEq{"store": nil}).GroupBy("store").OrderBy("store")
	err = r.db.ReadAll(ctx, "count what stores are used for", &uses, count)
	return uses, err
}

// SetStoreURL records that a store is somewhere else. It returns ErrNotFound for an unknown store.
func (r *Repository) SetStoreURL(ctx context.Context, identity, url string) error {
	return r.changeStore(ctx, "record where the store is",
		sq.Update("stores").Set("url", url).Where(sq.Eq{"identity": identity}))
}

// LoseStore records that a store has lost its files and begins again, empty, at a URL. Its copies are forgotten, so it
// lacks everything that it is to have as a replica. What its own replicas have stays recorded. LoseStore returns
// ErrNotFound for an unknown store. Nobody may be sending files there.
func (r *Repository) LoseStore(ctx context.Context, identity, url string) error {
	this := sq.Eq{"store": identity}
	return r.db.Transact(ctx, "record that the store begins again", func(tx *core.Tx) error {
		if err := lockSpaces(ctx, tx); err != nil {
			return err
		}
		set := sq.Update("stores").Set("url", url).Where(sq.Eq{"identity": identity})
		err := tx.Later(ctx, set, func(rows int64) error { return core.Affected(rows, ErrNotFound) })
		if err != nil {
			return err
		}

		// What was set aside is planned again, too.
		err = laterAll(ctx, tx,
			sq.Delete("copies").Where(this),
			sq.Update("replicas").Set("synced_at", nil).Where(this),
			sq.Delete("sendings").Where(this).Where(sq.Eq{"token": 0}),
		)
		if err != nil {
			return err
		}
		return LackChange{replicas: inReplica(identity)}.recount(ctx, tx)
	})
}

// SetSpaceStore makes a store the one that new uploads of a space go to. It returns ErrNotFound if the space or the
// store does not exist.
func (r *Repository) SetSpaceStore(ctx context.Context, space int64, identity string) error {
	known := sq.Select("1").From("stores").Where(sq.Eq{"identity": identity})
	return r.changeStore(ctx, "set the store of the space", sq.Update("spaces").Set("store", identity).
		Where(sq.Eq{"id": space}).Where(sq.ConcatExpr("EXISTS (", known, ")")))
}

// RemoveStore forgets a store. It returns ErrStoreInUse if uploads or spaces have it, and ErrNotFound if it is unknown.
func (r *Repository) RemoveStore(ctx context.Context, identity string) error {
	this := sq.Eq{"store": identity}
	return r.db.Transact(ctx, "forget the store", func(tx *core.Tx) error {
		// Nobody opens an upload in the store until the transaction ends.
		var locked string
		lock := sq.Select("identity").From("stores").Where(sq.Eq{"identity": identity}).Suffix(r.db.RowLock)
		if err := tx.Get(ctx, &locked, lock); err != nil {
			return err
		}

		var used bool
		uses := func(table string) sq.Sqlizer {
			return sq.ConcatExpr("EXISTS (", sq.Select("1").From(table).Where(this), ")")
		}
		err := tx.Get(ctx, &used, sq.Select().Column(sq.Or{uses("uploads"), uses("spaces"), uses("space_replicas")}))
		if err == nil && used {
			err = ErrStoreInUse
		}
		if err != nil {
			return err
		}

		// A sending may be left of a removed upload, or of a replica that the space no longer has.
		either := sq.Or{this, sq.Eq{"origin": identity}}
		return laterAll(ctx, tx,
			sq.Delete("copies").Where(this),
			sq.Delete("sendings").Where(either),
			sq.Delete("replicas").Where(either),
			sq.Delete("stores").Where(sq.Eq{"identity": identity}),
		)
	})
}

// laterAll makes changes of any number of rows.
func laterAll(ctx context.Context, tx *core.Tx, changes ...sq.Sqlizer) error {
	for _, change := range changes {
		if err := tx.Later(ctx, change, nil); err != nil {
			return err
		}
	}
	return nil
}

// changeStore makes a change of one row. It returns ErrNotFound if there is no such row.
func (r *Repository) changeStore(ctx context.Context, doing string, change sq.Sqlizer) error {
	return r.db.Transact(ctx, doing, func(tx *core.Tx) error {
		return tx.Later(ctx, change, func(rows int64) error { return core.Affected(rows, ErrNotFound) })
	})
}

// useStore notes that an upload goes to a store, and makes it the store of the source's space if that has none. It
// makes the transaction fail with ErrNotFound if the store is unknown.
func (r *Repository) useStore(ctx context.Context, tx *core.Tx, source int64, identity string) error {
	if identity == "" {
		return nil
	}

	seen := sq.Update("stores").Set("seen_at", NewTime(r.db.Now())).Where(sq.Eq{"identity": identity})
	err := tx.Later(ctx, seen, func(rows int64) error {
		return core.Affected(rows, fmt.Errorf("store %s: %w", identity, ErrNotFound))
	})
	if err != nil {
		return err
	}

	own := sq.Select("space").From("sources").Where(sq.Eq{"id": source})
	return tx.Later(ctx, sq.Update("spaces").Set("store", identity).Where(sq.Eq{"store": nil}).
		Where(core.Within("id", own)), nil)
}
