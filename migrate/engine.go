package migrate

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// engine says how to lock and migrate one kind of database.
type engine struct {
	// tryLock takes the lock that all migrating processes share, or returns no release function if another process
	// has it. The lock may belong to the connection, and is then released when the connection is closed.
	tryLock func(ctx context.Context, conn *sqlx.Conn, s dialect.Settings) (release func() error, err error)
	// run executes the script of a migration in the connection's open transaction. It returns a *scriptError for a
	// statement that fails.
	run func(ctx context.Context, conn *sqlx.Conn, script string) error
}

func engineOf(db *dialect.DB) (engine, error) {
	switch db.Name {
	case dialect.SQLite().Name:
		return engine{tryLockSQLite, runSQLite}, nil
	case dialect.Postgres().Name:
		return engine{tryLockPostgres, runPostgres}, nil
	}
	return engine{}, fmt.Errorf("no migrations for engine %q", db.Name)
}
