package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// errRolledBack is returned for a transaction that could not be committed because one of its statements had failed.
var errRolledBack = errors.New("the server rolled the transaction back")

// Send sends all statements at once. The error of a check comes before the failure of a later statement.
func (Engine) Send(ctx context.Context, conn *sqlx.Conn, statements []dialect.Statement) error {
	batch := &pgx.Batch{}
	for _, s := range statements {
		batch.Queue(s.Text, s.Args...)
	}

	err := onWire(conn, func(wire *pgx.Conn) error {
		results := wire.SendBatch(ctx, batch)
		for _, s := range statements {
			if err := take(s, results); err != nil {
				return errors.Join(err, endFailed(results))
			}
		}
		return results.Close()
	})
	return blameContext(ctx, err)
}

// endFailed ends a batch after the failure of a statement or a check. Without it, the driver would return the same
// failure again.
func endFailed(results pgx.BatchResults) error {
	if err := results.Close(); pgconn.Timeout(err) {
		return err
	}
	return nil
}

// take reads the result of the batch's next statement.
func take(s dialect.Statement, results pgx.BatchResults) error {
	if s.Values == nil {
		tag, err := results.Exec()
		if err != nil {
			return err
		}
		if s.Text == "commit" && tag.String() != "COMMIT" {
			return errRolledBack
		}
		return s.CheckRows(tag.RowsAffected())
	}

	err := results.QueryRow().Scan(s.Places()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.CheckRows(0)
	}
	if err != nil {
		return err
	}
	return s.CheckRows(1)
}

// onWire runs fn with the driver's own connection.
func onWire(conn *sqlx.Conn, fn func(*pgx.Conn) error) error {
	return conn.Raw(func(driverConn any) error {
		wire, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a pgx connection is needed, not a %T", driverConn)
		}
		return fn(wire.Conn())
	})
}

// blameContext adds the reason why a context has ended. The driver may only see that its connection was closed.
func blameContext(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}
