package schema

import (
	"math/rand/v2"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// InSpace matches uploads of a space.
func InSpace(space int64) sq.Sqlizer {
	return core.Within("source", sq.Select("id").From("sources").Where(sq.Eq{"space": space}))
}

// NeedsChanged makes an update of spaces record that who needs what in them changes. A removal that is about to
// delete what seemed unneeded notices the change. The step is random, so that a value from before a failover that lost
// commits is not reached again.
func NeedsChanged(update sq.UpdateBuilder) sq.UpdateBuilder {
	return update.Set("needs", sq.Expr("needs + ?", 1+rand.Int64N(1<<32))) //nolint:gosec // it keeps no secret
}

// NeedsOf is the update which records that who needs what changes in the space of a source.
func NeedsOf(source sq.Sqlizer) sq.UpdateBuilder {
	space := sq.Select("space").From("sources").Where(source)
	return NeedsChanged(sq.Update("spaces")).Where(core.Within("id", space))
}
