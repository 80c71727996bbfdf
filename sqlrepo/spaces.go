package sqlrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// ErrSpaceInUse is returned when a space is to be removed that has sources or uploads.
var ErrSpaceInUse = errors.New("the space has sources or uploads")

// Space is the bucket that content belongs to.
type Space struct {
	ID        int64  `db:"id"`
	DID       DID    `db:"did"`
	Name      string `db:"name"`
	ShardSize int64  `db:"shard_size"`
	CreatedAt Time   `db:"created_at"`
	// Store is the identity of the store that new uploads go to, or "" before the first one.
	Store string `db:"store"`
	// Replicas counts the stores that the files of its uploads are sent to as well.
	Replicas int64 `db:"replicas"`
}

// AddSpace adds a space and returns it with its key and time. Text makes its name fit. AddSpace returns ErrExists
// if the name or the DID is taken.
func (r *Repository) AddSpace(ctx context.Context, space Space) (Space, error) {
	space.Name, space.CreatedAt = Text(space.Name), NewTime(r.db.Now())
	err := r.db.Transact(ctx, fmt.Sprintf("add space %q", space.Name), func(tx *core.Tx) (err error) {
		if space.ID, err = tx.NextIDs(ctx, "spaces", 1); err != nil {
			return err
		}
		return insertSpace(ctx, tx, space)
	})
	return space, err
}

// AddSpaceWith adds a space and its first source, in one transaction. It returns ErrExists if the space's name or
// DID is taken.
func (r *Repository) AddSpaceWith(ctx context.Context, space Space, source Source) (Space, Source, error) {
	space.Name, space.CreatedAt = Text(space.Name), NewTime(r.db.Now())
	source.Name, source.CreatedAt, source.RemovedAt = Text(source.Name), space.CreatedAt, Time{}
	err := r.db.Transact(ctx, fmt.Sprintf("add space %q and source %q", space.Name, source.Name), func(tx *core.Tx) error {
		// Both keys are taken in one round trip.
		ids := make([]int64, 2)
		if err := tx.LaterRead(ctx, ids[:1], core.Raised("spaces", 1), nil); err != nil {
			return err
		}
		if err := tx.ReadNow(ctx, ids[1:], core.Raised("sources", 1)); err != nil {
			return err
		}
		space.ID, source.Space, source.ID = ids[0], ids[0], ids[1]

		if err := insertSpace(ctx, tx, space); err != nil {
			return err
		}
		return insertSource(ctx, tx, source)
	})
	return space, source, err
}

func insertSpace(ctx context.Context, tx *core.Tx, space Space) error {
	return tx.Later(ctx, sq.Insert("spaces").Columns(schema.SpaceColumns...).
		Values(space.ID, space.DID, space.Name, space.ShardSize, space.CreatedAt), nil)
}

// Spaces lists all spaces by key.
func (r *Repository) Spaces(ctx context.Context) (spaces []Space, err error) {
	err = r.db.ReadAll(ctx, "list spaces", &spaces, sq.Select(schema.SpaceFields...).From("spaces").OrderBy("id"))
	return spaces, err
}

// FindSpace returns the space with this name or DID, or ErrNotFound.
func (r *Repository) FindSpace(ctx context.Context, nameOrDID string) (space Space, err error) {
	column := "name"
	if strings.HasPrefix(nameOrDID, "did:") {
		column = "did"
	}
	err = r.db.ReadOne(ctx, fmt.Sprintf("space %q", nameOrDID), &space,
		sq.Select(schema.SpaceFields...).From("spaces").Where(sq.Eq{column: Text(nameOrDID)}))
	return space, err
}

// RenameSpace gives a space another name, which Text makes fit. It returns ErrExists if the name is taken, and
// ErrNotFound if the space is gone or no longer has the name that the caller knows.
func (r *Repository) RenameSpace(ctx context.Context, space Space, name string) error {
	return r.changeSpace(ctx, fmt.Sprintf("rename space %q", space.Name),
		sq.Update("spaces").Set("name", Text(name)).Where(sq.Eq{"id": space.ID, "name": space.Name}))
}

// SetShardSize changes the shard size of the uploads that begin in a space from now on. It returns ErrNotFound if there
// is no such space.
func (r *Repository) SetShardSize(ctx context.Context, space, size int64) error {
	return r.changeSpace(ctx, "set the shard size of the space",
		sq.Update("spaces").Set("shard_size", size).Where(sq.Eq{"id": space}))
}

func (r *Repository) changeSpace(ctx context.Context, doing string, change sq.UpdateBuilder) error {
	return r.db.Transact(ctx, doing, func(tx *core.Tx) error {
		return tx.Later(ctx, change, func(rows int64) error { return core.Affected(rows, ErrNotFound) })
	})
}

// RemoveSpace removes a space and the rows of its removed sources. It returns ErrSpaceInUse if the space has a source
// that was not removed, or an upload of which anything is left, and ErrNotFound if there is no such space.
func (r *Repository) RemoveSpace(ctx context.Context, space int64) error {
	return r.db.Transact(ctx, "remove the space", func(tx *core.Tx) error {
		// Nobody adds a source to the space, or opens an upload of one of its sources, until the transaction ends.
		var locked int64
		lock := sq.Select("id").From("spaces").Where(sq.Eq{"id": space}).Suffix(r.db.RowLock)
		if err := tx.Get(ctx, &locked, lock); err != nil {
			return err
		}

		var sources []int64
		of := sq.Select("id").From("sources").Where(sq.Eq{"space": space}).OrderBy("id").Suffix(r.db.RowLock)
		if err := tx.List(ctx, &sources, of); err != nil {
			return err
		}

		var used bool
		present := sq.Select("1").From("sources").Where(sq.Eq{"space": space, "removed_at": nil})
		uploads := sq.Select("1").From("uploads").Where(schema.InSpace(space))
		err := tx.Get(ctx, &used, sq.Select().
			Column(sq.ConcatExpr("EXISTS (", present, ") OR EXISTS (", uploads, ")")))
		if err == nil && used {
			err = ErrSpaceInUse
		}
		if err != nil {
			return err
		}

		for _, table := range []string{"sendings", "space_replicas", "sources"} {
			if err := tx.Later(ctx, sq.Delete(table).Where(sq.Eq{"space": space}), nil); err != nil {
				return err
			}
		}
		return tx.Later(ctx, sq.Delete("spaces").Where(sq.Eq{"id": space}), nil)
	})
}
