package sqlrepo

import (
	"context"
	"fmt"
	"strings"

	"github.com/Masterminds/squirrel"

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

// AddSpace adds a space and returns it with its key and time, its name made fit by Text. It returns
// ErrExists when the name or the DID is taken.
func (r *Repository) AddSpace(ctx context.Context, space Space) (Space, error) {
	space.Name, space.CreatedAt = Text(space.Name), NewTime(r.now())
	err := r.withTx(ctx, fmt.Sprintf("add space %q", space.Name), func(tx *dialect.Tx) (err error) {
		if space.ID, err = r.nextIDs(ctx, tx, "spaces", 1); err != nil {
			return err
		}
		_, err = r.exec(ctx, tx, squirrel.Insert("spaces").Columns(spaceColumns...).
			Values(space.ID, space.DID, space.Name, space.ShardSize, space.CreatedAt))
		return err
	})
	return space, err
}

// Spaces lists all spaces by key.
func (r *Repository) Spaces(ctx context.Context) (spaces []Space, err error) {
	err = r.read(ctx, "list spaces", func() error {
		spaces = nil
		return r.list(ctx, r.db.Reader, &spaces, squirrel.Select(spaceColumns...).From("spaces").OrderBy("id"))
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
			squirrel.Select(spaceColumns...).From("spaces").Where(squirrel.Eq{column: Text(nameOrDID)}))
	})
	return space, err
}
