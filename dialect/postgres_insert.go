package dialect

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// fewValues are so many that one statement takes them in one round trip, where COPY takes two or three.
const fewValues = 300

// postgresInsert adds rows in the way that takes the fewest round trips.
func postgresInsert(ctx context.Context, tx *Tx, table string, columns []string, n int, row func(i int) []any) error {
	switch {
	case n == 0:
		return ctx.Err()
	case n*len(columns) <= fewValues:
		return insertFew(ctx, tx, table, columns, n, row)
	}
	return copyRows(ctx, tx, table, columns, n, row)
}

func insertFew(ctx context.Context, tx *Tx, table string, columns []string, n int, row func(i int) []any) error {
	insert := squirrel.Insert(table).Columns(columns...).PlaceholderFormat(squirrel.Dollar)
	for i := range n {
		insert = insert.Values(slices.Clone(row(i))...)
	}
	text, args, err := insert.ToSql()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, text, tx.brief(args)...)
	return err
}

// copyRows streams the rows with COPY, over the connection that the transaction holds.
func copyRows(ctx context.Context, tx *Tx, table string, columns []string, n int, row func(i int) []any) error {
	err := tx.conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("COPY needs a pgx connection, not a %T", driverConn)
		}
		source := pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil })
		copied, err := conn.Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, source)
		if err == nil && copied != int64(n) {
			err = fmt.Errorf("COPY into %s took %d of %d rows", table, copied, n)
		}
		return err
	})
	if err != nil && ctx.Err() != nil {
		// The connection may have been closed under it, which says nothing of the reason.
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}
