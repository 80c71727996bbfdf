package migrate

import (
	"context"
	"errors"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jmoiron/sqlx"
)

// tryLockPostgres takes the advisory lock that golang-migrate's own tools ask for. It belongs to the connection on
// which the migrations then run, so that none can go on without it. It doesn't wait in the server: a waiting statement
// would hold up CREATE INDEX CONCURRENTLY.
func tryLockPostgres(ctx context.Context, conn *sqlx.Conn) (release func() error, err error) {
	var name, schema string
	const query = "SELECT current_database(), COALESCE(current_schema(), '')"
	if err := conn.QueryRowxContext(ctx, query).Scan(&name, &schema); err != nil {
		return nil, err
	}
	key, err := database.GenerateAdvisoryLockId(name, schema, versionTable)
	if err != nil {
		return nil, err
	}
	var locked bool
	err = conn.GetContext(ctx, &locked, "SELECT pg_try_advisory_lock($1::text::bigint)", key)
	if err != nil || !locked {
		return nil, err
	}
	return func() error { return nil }, nil
}

func runPostgres(ctx context.Context, tx *sqlx.Tx, script string) error {
	_, err := tx.ExecContext(ctx, script)
	var failure *pgconn.PgError
	if errors.As(err, &failure) {
		return &scriptError{lineAt(script, int(failure.Position)), err}
	}
	return err
}

// lineAt is the line of the character at a position, which the server counts from 1. Position 0 is none.
func lineAt(script string, position int) uint {
	characters := []rune(script)
	if position < 1 || position > len(characters) {
		return 0
	}
	return 1 + uint(strings.Count(string(characters[:position-1]), "\n"))
}
