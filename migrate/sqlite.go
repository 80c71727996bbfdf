package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/gofrs/flock"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// tryLockSQLite locks a file beside the database. It turns foreign keys off, as SQLite advises for changes of
// tables: the pragma has no effect inside a transaction. runSQLite checks the references instead.
func tryLockSQLite(ctx context.Context, conn *sqlx.Conn, _ dialect.Settings) (release func() error, err error) {
	var file string
	const query = "SELECT file FROM pragma_database_list WHERE name = 'main'"
	if err := conn.GetContext(ctx, &file, query); err != nil {
		return nil, err
	}

	lock := flock.New(file+".migrate.lock", flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err == nil && locked {
		_, err = conn.ExecContext(ctx, "PRAGMA foreign_keys = OFF")
	}

	if err != nil || !locked {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}

// runSQLite runs one statement after the other, since the errors do not say which one failed. It fails a migration
// that leaves a broken reference behind.
func runSQLite(ctx context.Context, conn *sqlx.Conn, script string) error {
	for _, s := range split(script) {
		if _, err := conn.ExecContext(ctx, s.text); err != nil {
			return &scriptError{s.line, s.beginning(), err}
		}
	}

	var tables []string
	const query = `SELECT DISTINCT "table" FROM pragma_foreign_key_check`
	if err := conn.SelectContext(ctx, &tables, query); err != nil {
		return err
	}
	if len(tables) > 0 {
		return fmt.Errorf("rows of %q refer to rows that don't exist", tables)
	}
	return nil
}
