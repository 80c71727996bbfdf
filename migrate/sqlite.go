package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gofrs/flock"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// tryLockSQLite locks a file beside the database's: the driver's own lock holds within one process only.
func tryLockSQLite(ctx context.Context, db *dialect.DB) (func() error, error) {
	var file string
	const query = "SELECT file FROM pragma_database_list WHERE name = 'main'"
	if err := db.Writer.GetContext(ctx, &file, query); err != nil {
		return nil, err
	}
	lock := flock.New(file+".migrate.lock", flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil || !locked {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}

// sqliteDriver is golang-migrate's driver but for what that gets wrong.
type sqliteDriver struct {
	database.Driver
	ctx context.Context //nolint:containedctx // the interface passes none
	db  *dialect.DB
}

// newSQLiteDriver turns foreign keys off, as SQLite advises for changes of tables; Run checks them instead. The handle
// has one connection for writing, so the pragma, which has no effect inside a transaction, holds for all that follows.
func newSQLiteDriver(ctx context.Context, db *dialect.DB) (database.Driver, error) {
	if _, err := db.Writer.ExecContext(ctx, "PRAGMA foreign_keys = OFF"); err != nil {
		return nil, err
	}
	driver, err := sqlite.WithInstance(db.Writer.DB, &sqlite.Config{MigrationsTable: versionTable})
	if err != nil {
		return nil, err
	}
	return &sqliteDriver{driver, ctx, db}, nil
}

// Version returns an error for a version that can't be read, where the original returns "none".
func (d *sqliteDriver) Version() (version int, dirty bool, err error) {
	r, found, err := readRecord(d.ctx, d.db)
	if err != nil || !found {
		return database.NilVersion, false, err
	}
	return int(r.Version), r.Dirty, nil
}

// Run runs a migration in one transaction that must leave no broken reference behind.
func (d *sqliteDriver) Run(migration io.Reader) (err error) {
	script, err := io.ReadAll(migration)
	if err != nil {
		return err
	}
	tx, err := d.db.Writer.BeginTxx(d.ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(d.ctx, string(script)); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := checkReferences(d.ctx, tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func checkReferences(ctx context.Context, tx *sqlx.Tx) error {
	var tables []string
	const query = `SELECT DISTINCT "table" FROM pragma_foreign_key_check`
	if err := tx.SelectContext(ctx, &tables, query); err != nil {
		return err
	}
	if len(tables) > 0 {
		return fmt.Errorf("rows of %q refer to rows that don't exist", tables)
	}
	return nil
}
