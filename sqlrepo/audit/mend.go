package audit

import (
	"context"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// mend runs statements in one transaction. They may change who needs what in any space.
func (a *Auditor) mend(ctx context.Context, doing string, statements ...sq.Sqlizer) error {
	return a.db.Transact(ctx, doing, func(tx *core.Tx) error {
		for _, statement := range append(statements, schema.NeedsChanged(sq.Update("spaces"))) {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// MendCounters raises the counters that are behind the keys in use.
func (a *Auditor) MendCounters(ctx context.Context) error {
	var statements []sq.Sqlizer
	for _, table := range keyed {
		highest := sq.Select("COALESCE(MAX(id), 0)").From(table)
		name := sq.Select().Column("CAST(? AS TEXT)", table)
		statements = append(statements,
			sq.Insert("counters").Columns("name", "value").Select(name.Column("0")).
				Suffix("ON CONFLICT (name) DO NOTHING"),
			sq.Update("counters").Set("value", sq.ConcatExpr("(", highest, ")")).
				Where(sq.Eq{"name": table}).Where(sq.ConcatExpr("value < (", highest, ")")))
	}
	return a.mend(ctx, "set the counters", statements...)
}

// DeleteOrphans deletes rows that belong to rows that do not exist.
func (a *Auditor) DeleteOrphans(ctx context.Context) error {
	var statements []sq.Sqlizer
	for _, o := range orphans {
		statements = append(statements, sq.Delete(o.table).Where(o.absent()))
	}
	return a.mend(ctx, "delete orphans", statements...)
}

// MendRevisions gives spaces without a valid revision one that stands for a space with shards.
func (a *Auditor) MendRevisions(ctx context.Context) error {
	return a.mend(ctx, "set the revisions of spaces",
		sq.Update("spaces").Set("revision", sq.Expr("ABS(revision) + 1")).Where("revision <= 0"))
}

// MendReplicaCounts counts again what replicas lack.
func (a *Auditor) MendReplicaCounts(ctx context.Context) error {
	return a.db.Transact(ctx, "count what replicas lack", func(tx *core.Tx) error {
		return sqlrepo.RecountReplicas(ctx, tx)
	})
}
