package postgres

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// Name is the engine's name in the configuration.
const Name = "postgres"

// Engine is PostgreSQL 13 and later: a pool of connections, shared by many processes and hosts. It implements
// dialect.Engine.
type Engine struct{}

// These are the engine's capabilities. A method with another signature would leave its default in force.
var _ interface {
	dialect.Engine
	dialect.Chooser
	dialect.URLAdapter
	dialect.ConnectionStrings
	dialect.PoolerNamer
	dialect.SchemaMaker
	dialect.Sender
	dialect.Notifier
	dialect.Listener
	dialect.Explainer
	dialect.Analyzer
	dialect.Follower
} = Engine{}

// Facts implements dialect.Engine.
func (Engine) Facts() dialect.Facts {
	return dialect.Facts{
		Name:            Name,
		Title:           "PostgreSQL",
		Schemes:         []string{"postgres", "postgresql"},
		Forms:           []string{"postgres://...", "postgresql://...", "host=..."},
		PlainParameters: plainParameters,
		Server:          true,
		Snapshot:        sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		Unhurried:       noSessionLimits,
		Placeholder:     sq.Dollar,
		ClaimLock:       "FOR UPDATE SKIP LOCKED",
		RowLock:         "FOR UPDATE",
		TableLock:       "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE",
		MadeIndexes: `SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition
			FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::text::regclass
			AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid)`,
	}
}

// Among implements dialect.Dialect.
func (Engine) Among(column string, keys []int64) sq.Sqlizer {
	return sq.Expr(column+" = ANY (?)", keys)
}

// Clock reads the clock once per statement.
func (Engine) Clock(offset time.Duration) sq.Sqlizer {
	return sq.Expr("(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::bigint + ?::bigint",
		offset.Microseconds())
}

// Probe makes the planner look up key by key. Without it, the planner could read the whole table if there are many
// keys.
func (Engine) Probe(query sq.SelectBuilder, table, column string, keys []int64) sq.SelectBuilder {
	list := sq.Select().Column("unnest(?::bigint[]) AS probed", keys)
	rows := sq.Select("*").From(table).Where(column + " = probes.probed").Suffix("OFFSET 0")
	return query.FromSelect(list, "probes").
		JoinClause(sq.ConcatExpr("CROSS JOIN LATERAL (", rows, ") AS "+table))
}

// currentSchema selects the key of the schema in use. The name of a schema may need quotes, which a cast to
// regnamespace does not add.
const currentSchema = "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())"

// IsEmpty implements dialect.Inspector.
func (Engine) IsEmpty(ctx context.Context, db *dialect.DB, but string) (empty bool, err error) {
	err = db.Writer.GetContext(ctx, &empty, `SELECT NOT EXISTS (SELECT FROM pg_class c
		WHERE c.relkind IN ('r', 'p') AND c.relnamespace = `+currentSchema+` AND c.relname <> $1)`, but)
	return empty, err
}

// HasTable implements dialect.Inspector.
func (Engine) HasTable(ctx context.Context, db *dialect.DB, name string) (found bool, err error) {
	err = db.Writer.GetContext(ctx, &found, `SELECT EXISTS (SELECT FROM pg_class c
		WHERE c.relkind = 'r' AND c.relnamespace = `+currentSchema+` AND c.relname = $1)`, name)
	return found, err
}

// Analyze spares new tables the wait for autovacuum. Until then, the planner takes a page of rows for a scan of the
// whole table.
func (Engine) Analyze(ctx context.Context, db *dialect.DB, tables []string) error {
	for _, table := range tables {
		if _, err := db.Writer.ExecContext(ctx, "ANALYZE "+quoteIdentifier(table)); err != nil {
			return err
		}
	}
	return nil
}

// Size implements dialect.Inspector.
func (Engine) Size(ctx context.Context, db *dialect.DB) (size int64, err error) {
	err = db.Writer.GetContext(ctx, &size, `SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0)::bigint
		FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = `+currentSchema)
	return size, err
}

// Same locks a random number. Only in the same database another transaction can't lock it. Two schemas in one
// database are two databases.
func (Engine) Same(ctx context.Context, a, b *dialect.DB) (same bool, err error) {
	first, err := a.Reader.BeginTxx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, first.Rollback()) }()

	number, schema := rand.Int64(), ""
	if err := sqlx.GetContext(ctx, first, &schema, "SELECT COALESCE(current_schema(), '')"); err != nil {
		return false, err
	}
	if _, err := first.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", number); err != nil {
		return false, err
	}

	err = b.Reader.GetContext(ctx, &same,
		"SELECT NOT pg_try_advisory_xact_lock($1) AND COALESCE(current_schema(), '') = $2", number, schema)
	return same, err
}
