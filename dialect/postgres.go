package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
)

// Postgres is the dialect of PostgreSQL 13 and later: a pool of connections, shared by many processes and hosts.
func Postgres() Dialect {
	return Dialect{
		Name:          "postgres",
		Title:         "PostgreSQL",
		TakesPassword: true,
		Placeholder:   squirrel.Dollar,
		ClaimLock:     "FOR UPDATE SKIP LOCKED",
		SharedLock:    "FOR SHARE",
		Snapshot:      sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		Among:         postgresAmong,
		BulkInsert:    copyRows,
		LosesAnswers:  true,
		LockRun:       postgresLockRun,
		LockAll:       postgresLockAll,
		IsEmpty:       postgresIsEmpty,
		HasTable:      postgresHasTable,
		Analyze:       postgresAnalyze,
		Size:          postgresSize,
		Classify:      classifyPostgres,
		handles:       postgresHandles{},
		urls:          postgresURLs{},
	}
}

func postgresAmong(column string, keys []int64) squirrel.Sqlizer {
	return squirrel.Expr(column+" = ANY (?)", keys)
}

type postgresHandles struct{}

// postgresDriver is the one that sqlx knows: "pgx/v5" would leave placeholders as they are.
const postgresDriver = "pgx"

func (postgresHandles) open(ctx context.Context, s Settings) (*sqlx.DB, *sqlx.DB, error) {
	config, err := postgresConfig(s)
	if err != nil {
		return nil, nil, err
	}
	pool := sqlx.NewDb(stdlib.OpenDB(*config), postgresDriver)
	pool.SetMaxOpenConns(s.MaxOpenConns)
	pool.SetMaxIdleConns(s.MaxIdleConns)
	pool.SetConnMaxLifetime(s.ConnMaxLifetime)
	pool.SetConnMaxIdleTime(s.ConnMaxIdleTime)
	if err := pool.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	return pool, pool, nil
}

func postgresConfig(s Settings) (*pgx.ConnConfig, error) {
	config, err := parsePostgres(s.URL)
	if err != nil {
		return nil, err
	}
	if s.Password != "" {
		config.Password = s.Password.Reveal()
	}
	config.ConnectTimeout = s.ConnectTimeout
	if config.RuntimeParams["application_name"] == "" {
		host, _ := os.Hostname()
		config.RuntimeParams["application_name"] = fmt.Sprintf("guppy, process %d on %s", os.Getpid(), host)
	}
	return config, nil
}

func (postgresHandles) name(s Settings) (string, error) {
	config, err := parsePostgres(s.URL)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%q at %s:%d", config.Database, config.Host, config.Port), nil
}

func postgresIsEmpty(ctx context.Context, db *DB, but string) (empty bool, err error) {
	err = db.Writer.GetContext(ctx, &empty, `SELECT NOT EXISTS (SELECT FROM pg_class c
		WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace AND c.relname <> $1)`, but)
	return empty, err
}

func postgresHasTable(ctx context.Context, db *DB, name string) (found bool, err error) {
	err = db.Writer.GetContext(ctx, &found, `SELECT EXISTS (SELECT FROM pg_class c
		WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND c.relname = $1)`, name)
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
		FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace`)
	return size, err
}
