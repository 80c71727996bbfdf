package migrate

import (
	"context"
	"errors"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// tryLockPostgres takes the advisory lock that golang-migrate's own tools ask for. The lock belongs to the
// connection that then migrates, so no migration can go on without it. tryLockPostgres does not wait in the server:
// a waiting statement would hold up CREATE INDEX CONCURRENTLY.
//
// A schema that the migrations are yet to create is locked like any other.
func tryLockPostgres(ctx context.Context, conn *sqlx.Conn, s dialect.Settings) (release func() error, err error) {
	var name, schema string
	const query = "SELECT current_database(), COALESCE(current_schema(), '')"
	if err := conn.QueryRowxContext(ctx, query).Scan(&name, &schema); err != nil {
		return nil, err
	}

	// A schema that does not exist yet is not the current one.
	if s.Server.Schema != "" {
		schema = s.Server.Schema
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

// runPostgres sends the whole script at once. The server answers each statement before the one that failed.
func runPostgres(ctx context.Context, conn *sqlx.Conn, script string) error {
	done, err := 0, error(nil)
	if raw := conn.Raw(func(driver any) error {
		session := driver.(*stdlib.Conn).Conn().PgConn() //nolint:forcetypeassert // the dialect opened it
		done, err = countDone(session.Exec(ctx, script))
		return nil
	}); raw != nil {
		return raw
	}

	var failure *pgconn.PgError
	if !errors.As(err, &failure) {
		return err
	}
	return locate(script, done, int(failure.Position), err)
}

// locate names the statement that failed: the one at the server's position in the script, or else the one after
// those that were done. A script with a syntax error has no statement done.
func locate(script string, done, position int, err error) error {
	offset, line := offsetOf(script, position), lineAt(script, position)
	for i, s := range split(script) {
		if offset < 0 && i == done || offset >= s.start && offset <= s.start+len(s.text) {
			return &scriptError{max(line, s.line), s.beginning(), err}
		}
	}
	return err
}

// countDone counts the statements that succeed.
func countDone(results *pgconn.MultiResultReader) (done int, err error) {
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err != nil {
			break // the final Close returns the error, too
		}
		done++
	}
	return done, results.Close()
}

// lineAt returns the line of the character at a position, which the server counts from 1, or 0 for a position
// outside.
func lineAt(script string, position int) uint {
	offset := offsetOf(script, position)
	if offset < 0 {
		return 0
	}
	return 1 + uint(strings.Count(script[:offset], "\n"))
}

// offsetOf returns the offset in bytes of the character at a position, or -1 for a position outside.
func offsetOf(script string, position int) int {
	for offset := range script {
		if position--; position == 0 {
			return offset
		}
	}
	return -1
}
