package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/gofrs/flock"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// LockSchema locks a file beside the database's. It turns foreign keys off, as SQLite advises for changes of tables:
// the pragma has no effect inside a transaction, and RunScript checks the references instead.
func (Engine) LockSchema(ctx context.Context, conn *sqlx.Conn, _ dialect.Settings, _ string) (release func() error,
	err error) {
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

// RunScript runs statement by statement, since no error says which one failed, and fails a migration that leaves a
// broken reference behind.
func (Engine) RunScript(ctx context.Context, conn *sqlx.Conn, script dialect.Script) error {
	for i, statement := range script.Statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return &dialect.StatementError{Done: i, Err: err}
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
