package migrate

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// engine is how one kind of database is locked and migrated.
type engine struct {
	// tryLock takes the lock that all migrating processes share, or returns no release function if another has it. The
	// lock may be the connection's: it is released once the connection is closed.
	tryLock func(ctx context.Context, conn *sqlx.Conn, s dialect.Settings) (release func() error, err error)
	// run executes the script of a migration in the transaction that the connection is in. The error of a statement is a
	// *scriptError.
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
