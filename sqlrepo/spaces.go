package sqlrepo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// Space is the bucket that content belongs to.
type Space struct {
	ID        int64  `db:"id"`
	DID       DID    `db:"did"`
	Name      string `db:"name"`
	ShardSize int64  `db:"shard_size"`
	CreatedAt Time   `db:"created_at"`
}

var spaceColumns = []string{"id", "did", "name", "shard_size", "created_at"}

// AddSpace adds a space and returns it with its key and time. Text makes its name fit. AddSpace returns ErrExists
// if the name or the DID is taken.
func (r *Repository) AddSpace(ctx context.Context, space Space) (Space, error) {
	space.Name, space.CreatedAt = Text(space.Name), NewTime(r.now())
	err := r.withTx(ctx, fmt.Sprintf("add space %q", space.Name), func(tx *dialect.Tx) (err error) {
		if space.ID, err = r.nextIDs(ctx, tx, "spaces", 1); err != nil {
			return err
		}
		return r.insertSpace(ctx, tx, space)
	})
	return space, err
}

// AddSpaceWith adds a space and its first source, in one transaction. It returns ErrExists if the space's name or
// DID is taken.
func (r *Repository) AddSpaceWith(ctx context.Context, space Space, source Source) (Space, Source, error) {
	space.Name, space.CreatedAt = Text(space.Name), NewTime(r.now())
	source.Name, source.CreatedAt, source.RemovedAt = Text(source.Name), space.CreatedAt, Time{}
	err := r.withTx(ctx, fmt.Sprintf("add space %q and source %q", space.Name, source.Name), func(tx *dialect.Tx) error {
		// Both keys are taken in one round trip.
		ids := make([]int64, 2)
		if err := r.laterRead(ctx, tx, ids[:1], raised("spaces", 1), nil); err != nil {
			return err
		}
		if err := r.readNow(ctx, tx, ids[1:], raised("sources", 1)); err != nil {
			return err
		}
		space.ID, source.Space, source.ID = ids[0], ids[0], ids[1]

		if err := r.insertSpace(ctx, tx, space); err != nil {
			return err
		}
		return r.insertSource(ctx, tx, source)
	})
	return space, source, err
}

func (r *Repository) insertSpace(ctx context.Context, tx *dialect.Tx, space Space) error {
	return r.later(ctx, tx, sq.Insert("spaces").Columns(spaceColumns...).
		Values(space.ID, space.DID, space.Name, space.ShardSize, space.CreatedAt), nil)
}

// needsChanged makes an update record that who needs what in a space changes. A removal that is about to delete
// what seemed unneeded notices the change. The step is random, so that a value from before a failover that lost
// commits is not reached again.
func needsChanged(update sq.UpdateBuilder) sq.UpdateBuilder {
	return update.Set("needs", sq.Expr("needs + ?", 1+rand.Int64N(1<<32))) //nolint:gosec // it keeps no secret
}

// spaceNeeds records that who needs what in the space of a source changes.
func (r *Repository) spaceNeeds(ctx context.Context, tx *dialect.Tx, source sq.Sqlizer) error {
	space := sq.Select("space").From("sources").Where(source)
	return r.later(ctx, tx, needsChanged(sq.Update("spaces")).Where(within("id", space)), nil)
}

// Spaces lists all spaces by key.
func (r *Repository) Spaces(ctx context.Context) (spaces []Space, err error) {
	err = r.read(ctx, "list spaces", func() error {
		spaces = nil
		return r.list(ctx, r.db.Reader, &spaces, sq.Select(spaceColumns...).From("spaces").OrderBy("id"))
	})
	return spaces, err
}

// FindSpace returns the space with this name or DID, or ErrNotFound.
func (r *Repository) FindSpace(ctx context.Context, nameOrDID string) (space Space, err error) {
	column := "name"
	if strings.HasPrefix(nameOrDID, "did:") {
		column = "did"
	}
	err = r.read(ctx, fmt.Sprintf("space %q", nameOrDID), func() error {
		return r.get(ctx, r.db.Reader, &space,
			sq.Select(spaceColumns...).From("spaces").Where(sq.Eq{column: Text(nameOrDID)}))
	})
	return space, err
}
