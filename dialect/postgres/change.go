package postgres

import (
	"context"
	"errors"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// LockSchema takes the advisory lock that golang-migrate's own tools ask for. The lock belongs to the connection on
// which the migrations then run, so that none can go on without it. LockSchema does not wait in the server: a
// waiting statement would delay CREATE INDEX CONCURRENTLY.
//
// A schema that the migrations will make has its lock already.
func (Engine) LockSchema(ctx context.Context, conn *sqlx.Conn, s dialect.Settings,
	versionTable string) (release func() error, err error) {
	var name, schema string
	const query = "SELECT current_database(), COALESCE(current_schema(), '')"
	if err := conn.QueryRowxContext(ctx, query).Scan(&name, &schema); err != nil {
		return nil, err
	}

	if named := optionsOf(s).Schema; named != "" {
		schema = named
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

// RunScript sends the whole script at once. The server answers each statement before the one that failed.
func (Engine) RunScript(ctx context.Context, conn *sqlx.Conn, script dialect.Script) error {
	done := 0
	err := onWire(conn, func(wire *pgx.Conn) (err error) {
		done, err = countDone(wire.PgConn().Exec(ctx, script.Text))
		return err
	})
	var failure *pgconn.PgError
	if !errors.As(err, &failure) {
		return err
	}
	return &dialect.StatementError{Done: done, Position: int(failure.Position), Err: err}
}

// countDone counts the statements that succeed.
func countDone(results *pgconn.MultiResultReader) (done int, err error) {
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err != nil {
			break // the reader of all results returns it, too
		}
		done++
	}
	return done, results.Close()
}
