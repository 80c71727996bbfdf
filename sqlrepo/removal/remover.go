// Package removal removes uploads, and what only they needed.
package removal

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// Remover removes uploads from a repository. It is safe for concurrent use.
type Remover struct{ db *core.DB }

// New returns a Remover for a repository.
func New(repo *sqlrepo.Repository) *Remover { return &Remover{repo.DB()} }

// removal runs fn in a transaction under the lease on the removal of an upload.
func (r *Remover) removal(ctx context.Context, stage sqlrepo.Stage, doing string, fn func(*core.Tx) error) error {
	return r.db.Transact(ctx, doing, func(tx *core.Tx) error {
		if err := sqlrepo.Fence(ctx, tx, stage, r.seenRemoval()); err != nil {
			return err
		}
		if err := tx.Flush(ctx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// seenRemoval is the update of an upload whose removal goes on.
func (r *Remover) seenRemoval() sq.UpdateBuilder {
	return sq.Update("uploads").Set("lease_seen", r.db.At(0)).Where(sq.Eq{"state": sqlrepo.Removed})
}
