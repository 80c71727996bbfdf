package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
)

// Postgres is the dialect of PostgreSQL 13 and later: a pool of connections, shared by many processes and hosts.
func Postgres() Dialect {
	return Dialect{
		Name:        "postgres",
		Placeholder: squirrel.Dollar,
		ClaimLock:   "FOR UPDATE SKIP LOCKED",
		SharedLock:  "FOR SHARE",
		Snapshot:    sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		BulkInsert:  copyRows,
		Receipt:     postgresReceipt,
		Committed:   postgresCommitted,
		LockRun:     postgresLockRun,
		HasTable:    postgresHasTable,
		Size:        postgresSize,
		Classify:    classifyPostgres,
		handles:     postgresHandles{},
		infer: func(url string) bool {
			return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") ||
				strings.Contains(url, "dbname=")
		},
	}
}

type postgresHandles struct{}

// driverName is the one that sqlx knows: "pgx/v5" would leave placeholders as they are.
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
	config, err := pgx.ParseConfig(s.URL.Reveal())
	if err != nil {
		// The parser's message quotes parts of the URL, and a malformed URL may hold its password anywhere.
		return nil, fmt.Errorf("%w: the database URL is not valid (percent-encode @ # : / %% in its password, or leave "+
			"the password out and name a password file)", ErrSettings)
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

func (postgresHandles) describe(s Settings) string {
	config, err := pgx.ParseConfig(s.URL.Reveal())
	if err != nil {
		return "PostgreSQL"
	}
	return fmt.Sprintf("PostgreSQL database %q at %s:%d", config.Database, config.Host, config.Port)
}

// copyRows streams the rows with COPY, over the connection that the transaction holds.
func copyRows(ctx context.Context, tx *Tx, table string, columns []string, n int, row func(i int) []any) error {
	return tx.conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("COPY needs a pgx connection, not a %T", driverConn)
		}
		source := pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil })
		copied, err := conn.Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, source)
		if err == nil && copied != int64(n) {
			err = fmt.Errorf("COPY into %s took %d of %d rows", table, copied, n)
		}
		return err
	})
}

func postgresReceipt(ctx context.Context, tx *Tx) (receipt string, err error) {
	err = tx.GetContext(ctx, &receipt, "SELECT pg_current_xact_id()::text")
	return receipt, err
}

func postgresCommitted(ctx context.Context, db *DB, receipt string) (bool, error) {
	var status *string
	if err := db.Writer.GetContext(ctx, &status, "SELECT pg_xact_status($1::text::xid8)", receipt); err != nil {
		return false, err
	}
	if status != nil && *status == "in progress" {
		return false, errStillRunning
	}
	return status != nil && *status == "committed", nil
}

func postgresHasTable(ctx context.Context, db *DB, name string) (found bool, err error) {
	err = db.Writer.GetContext(ctx, &found, "SELECT to_regclass(quote_ident(current_schema()) || '.' || quote_ident($1)) IS NOT NULL", name)
	return found, err
}

func postgresSize(ctx context.Context, db *DB) (size int64, err error) {
	err = db.Writer.GetContext(ctx, &size, `SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0)::bigint
		FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace`)
	return size, err
}

// classifyPostgres goes by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
func classifyPostgres(err error) Class {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		var connect *pgconn.ConnectError
		if errors.Is(err, errStillRunning) || errors.As(err, &connect) || pgconn.Timeout(err) || connectionLost(err) {
			return Unavailable
		}
		return Other
	}
	switch code := server.Code; {
	case code == "23505":
		return Exists
	case code == "23503":
		return MissingReference
	case code == "40001" || code == "40P01" || code == "55P03":
		return Conflict
	case code == "25006" || strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P") || code == "53300":
		return Unavailable
	case strings.HasPrefix(code, "28") || strings.HasPrefix(code, "3D") || strings.HasPrefix(code, "53") ||
		strings.HasPrefix(code, "58") || strings.HasPrefix(code, "XX") || code == "42501":
		return Unusable
	}
	return Other
}
