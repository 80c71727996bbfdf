package dialect

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

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
