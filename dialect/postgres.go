package dialect

import (
	"context"
	"database/sql"
	"time"

	"github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
)

// Postgres is the dialect of PostgreSQL 13 and later: a pool of connections, shared by many processes and hosts.
func Postgres() Dialect {
	return Dialect{
		Name:          "postgres",
		Title:         "PostgreSQL",
		TakesPassword: true,
		Placeholder:   squirrel.Dollar,
		ClaimLock:     "FOR UPDATE SKIP LOCKED",
		RowLock:       "FOR UPDATE",
		Snapshot:      sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		Unhurried:     noSessionLimits,
		Among:         postgresAmong,
		BulkInsert:    postgresInsert,
		LosesAnswers:  true,
		LosesLocks:    true,
		LockUse:       postgresLockUse,
		Clock:         postgresClock,
		Probe:         postgresProbe,
		Notify:        postgresNotify,
		Listen:        postgresListen,
		LockAll:       postgresLockAll,
		MissingSchema: postgresMissingSchema,
		CheckSchema:   checkSchema,
		IsEmpty:       postgresIsEmpty,
		HasTable:      postgresHasTable,
		Analyze:       postgresAnalyze,
		Size:          postgresSize,
		Classify:      classifyPostgres,
		handles:       postgresHandles{},
		same:          postgresSame,
		indexes:       postgresMadeIndexes,
		inspect:       postgresInspect,
		together:      postgresTogether,
		beginning:     postgresBeginning,
		explain:       postgresExplain,
		urls:          postgresURLs{},
	}
}

func postgresAmong(column string, keys []int64) squirrel.Sqlizer {
	return squirrel.Expr(column+" = ANY (?)", keys)
}

// postgresClock reads the clock once a statement.
func postgresClock(offset time.Duration) squirrel.Sqlizer {
	return squirrel.Expr("(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::bigint + ?::bigint",
		offset.Microseconds())
}

// postgresProbe has the planner look up key by key: left to itself it could take many keys for a reason to read the
// whole table.
func postgresProbe(query squirrel.SelectBuilder, table, column string, keys []int64) squirrel.SelectBuilder {
	list := squirrel.Select().Column("unnest(?::bigint[]) AS probed", keys)
	rows := squirrel.Select("*").From(table).Where(column + " = probes.probed").Suffix("OFFSET 0")
	return query.FromSelect(list, "probes").
		JoinClause(squirrel.ConcatExpr("CROSS JOIN LATERAL (", rows, ") AS "+table))
}

// currentSchema is the key of the schema in use; its name may need quotes, which a cast to regnamespace does not add.
const currentSchema = "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())"

func postgresIsEmpty(ctx context.Context, db *DB, but string) (empty bool, err error) {
	err = db.Writer.GetContext(ctx, &empty, `SELECT NOT EXISTS (SELECT FROM pg_class c
		WHERE c.relkind IN ('r', 'p') AND c.relnamespace = `+currentSchema+` AND c.relname <> $1)`, but)
	return empty, err
}

func postgresHasTable(ctx context.Context, db *DB, name string) (found bool, err error) {
	err = db.Writer.GetContext(ctx, &found, `SELECT EXISTS (SELECT FROM pg_class c
		WHERE c.relkind = 'r' AND c.relnamespace = `+currentSchema+` AND c.relname = $1)`, name)
	return found, err
}

// postgresAnalyze spares new tables the wait for autovacuum: until then the planner takes a page of rows for a scan of
// them all.
func postgresAnalyze(ctx context.Context, db *DB, tables []string) error {
	for _, table := range tables {
		if _, err := db.Writer.ExecContext(ctx, "ANALYZE "+pgx.Identifier{table}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

func postgresSize(ctx context.Context, db *DB) (size int64, err error) {
	err = db.Writer.GetContext(ctx, &size, `SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0)::bigint
		FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = `+currentSchema)
	return size, err
}
