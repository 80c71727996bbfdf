package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
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
		Name:         "postgres",
		Placeholder:  squirrel.Dollar,
		ClaimLock:    "FOR UPDATE SKIP LOCKED",
		SharedLock:   "FOR SHARE",
		Snapshot:     sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		Among:        postgresAmong,
		BulkInsert:   copyRows,
		LosesAnswers: true,
		LockRun:      postgresLockRun,
		HasTable:     postgresHasTable,
		Analyze:      postgresAnalyze,
		Size:         postgresSize,
		Classify:     classifyPostgres,
		handles:      postgresHandles{},
		infer:        inferPostgres,
	}
}

// keywords begin the settings of a libpq connection string.
var keywords = regexp.MustCompile(
	`(^|\s)(host|hostaddr|port|user|dbname|database|password|passfile|service|sslmode)\s*=`)

func inferPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") ||
		!isPlainPath(url) && !strings.Contains(url, "://") && keywords.MatchString(url)
}

func postgresAmong(column string, keys []int64) squirrel.Sqlizer {
	return squirrel.Expr(column+" = ANY (?)", keys)
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

var errPostgresURL = fmt.Errorf("%w: the database URL is not valid (percent-encode @ # : / ? %% in its password, or "+
	"leave the password out and name a password file)", ErrSettings)

// parsePostgres keeps the parser's message back: it quotes parts of the URL, and a malformed URL may hold its password
// anywhere. One whose password has a bare "@", "/", "?" or "#" can look well-formed, with the rest of the password for
// its host or database; the place of the last "@" gives it away.
func parsePostgres(location Secret) (*pgx.ConnConfig, error) {
	_, rest, isURL := strings.Cut(location.Reveal(), "://")
	if at := strings.LastIndexByte(rest, '@'); isURL && at >= 0 && strings.ContainsAny(rest[:at], "@/?#") {
		return nil, errPostgresURL
	}
	config, err := pgx.ParseConfig(location.Reveal())
	if err != nil {
		return nil, errPostgresURL
	}
	return config, nil
}

func (postgresHandles) describe(s Settings) string {
	config, err := parsePostgres(s.URL)
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

// classifyPostgres goes by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
func classifyPostgres(err error) Class {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		var connect *pgconn.ConnectError
		if errors.As(err, &connect) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
			connectionLost(err) {
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
