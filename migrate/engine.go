package migrate

import (
	"context"
	"fmt"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/guppy-prep/guppy/dialect"
)

// engine is how golang-migrate works on one kind of database.
type engine struct {
	// tryLock takes the lock that all migrating processes share, or returns no release function if another has it. The
	// handle must not be used after release.
	tryLock func(ctx context.Context, db *dialect.DB) (release func() error, err error)
	// driver wraps the handle, which the driver then closes. Its context lasts as long as the driver.
	driver func(ctx context.Context, db *dialect.DB) (database.Driver, error)
}

func engineOf(db *dialect.DB) (engine, error) {
	switch db.Name {
	case dialect.SQLite().Name:
		return engine{tryLockSQLite, newSQLiteDriver}, nil
	case dialect.Postgres().Name:
		return engine{tryLockPostgres, newPostgresDriver}, nil
	}
	return engine{}, fmt.Errorf("no migrations for engine %q", db.Name)
}
