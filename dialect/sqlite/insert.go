package sqlite

import (
	"context"
	"database/sql"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// insertParameters is the approximate number of parameters of one statement. The driver looks up each among all of
// them: more parameters cost more time than fewer statements save.
const insertParameters = 100

// BulkInsert runs one prepared statement of several rows repeatedly, and a shorter one for the remaining rows.
func (Engine) BulkInsert(ctx context.Context, tx *dialect.Tx, table string, columns []string, n int,
	row func(i int) []any) error {
	batch := max(1, insertParameters/len(columns))
	full := n - n%batch
	if err := insertBatches(ctx, tx, table, columns, 0, full, batch, row); err != nil {
		return err
	}
	return insertBatches(ctx, tx, table, columns, full, n, n-full, row)
}

func insertBatches(ctx context.Context, tx *dialect.Tx, table string, columns []string, from, to, batch int,
	row func(i int) []any) (err error) {
	if from == to {
		return nil
	}
	statement, err := prepareInsert(ctx, tx, table, columns, batch)
	if err != nil {
		return err
	}
	defer statement.Close() //nolint:errcheck // the transaction fails if anything did

	values := make([]any, 0, batch*len(columns))
	for i := from; i < to; i++ {
		values = append(values, row(i)...)
		if len(values) == cap(values) {
			if _, err := statement.ExecContext(ctx, values...); err != nil {
				return err
			}
			values = values[:0]
		}
	}
	return nil
}

// prepareInsert prepares an INSERT of several rows. One that fails leaves the rows before the one at fault: its
// transaction is rolled back anyway, and SQLite need not keep each page as it was before the statement.
func prepareInsert(ctx context.Context, tx *dialect.Tx, table string, columns []string, rows int) (*sql.Stmt, error) {
	insert := sq.Insert(table).Options("OR FAIL").Columns(columns...)
	blank := make([]any, len(columns))
	for range rows {
		insert = insert.Values(blank...)
	}
	query, _, err := insert.ToSql()
	if err != nil {
		return nil, err
	}
	return tx.PrepareContext(ctx, query)
}
