package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// closeLimit bounds the farewell to a server that may be gone.
const closeLimit = 5 * time.Second

// tryLockPostgres takes the advisory lock that golang-migrate's driver will ask for, on the connection that the driver
// will get: the handle's only one. The driver, which would wait for the lock without end and heed no context, then has
// it already. Release closes that connection, whoever may still hold it, and so the server frees the lock.
func tryLockPostgres(ctx context.Context, db *dialect.DB) (release func() error, err error) {
	db.Writer.SetMaxOpenConns(1)
	db.Writer.SetConnMaxLifetime(0)
	db.Writer.SetConnMaxIdleTime(0)
	conn, err := db.Writer.Connx(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	locked, err := tryAdvisoryLock(ctx, conn)
	if err != nil || !locked {
		return nil, err
	}
	err = conn.Raw(func(driverConn any) error {
		own, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a pgx connection is needed, not a %T", driverConn)
		}
		release = func() error { return closeConn(own.Conn()) }
		return nil
	})
	return release, err
}

// tryAdvisoryLock doesn't wait in the server: a waiting statement would hold up CREATE INDEX CONCURRENTLY.
func tryAdvisoryLock(ctx context.Context, conn *sqlx.Conn) (locked bool, err error) {
	var name, schema string
	const query = "SELECT current_database(), COALESCE(current_schema(), '')"
	if err := conn.QueryRowxContext(ctx, query).Scan(&name, &schema); err != nil {
		return false, err
	}
	key, err := database.GenerateAdvisoryLockId(name, schema, versionTable)
	if err != nil {
		return false, err
	}
	err = conn.GetContext(ctx, &locked, "SELECT pg_try_advisory_lock($1::text::bigint)", key)
	return locked, err
}

func closeConn(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	return conn.Close(ctx)
}

// newPostgresDriver leaves room for a second connection once the driver has the first: a version must still be readable
// after a failure.
func newPostgresDriver(_ context.Context, db *dialect.DB) (database.Driver, error) {
	driver, err := migratepgx.WithInstance(db.Writer.DB, &migratepgx.Config{MigrationsTable: versionTable})
	if err != nil {
		return nil, err
	}
	db.Writer.SetMaxOpenConns(2)
	return driver, nil
}
