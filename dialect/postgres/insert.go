package postgres

import (
	"context"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// fewValues is the most values that go in a statement together with the next ones. COPY takes a round trip of its
// own.
const fewValues = 2000

// BulkInsert adds rows in the way that takes the fewest round trips.
func (Engine) BulkInsert(ctx context.Context, tx *dialect.Tx, table string, columns []string, n int,
	row func(i int) []any) error {
	switch {
	case n == 0:
		return ctx.Err()
	case n*len(columns) <= fewValues:
		return insertFew(ctx, tx, table, columns, n, row)
	}
	return copyRows(ctx, tx, table, columns, n, row)
}

func insertFew(ctx context.Context, tx *dialect.Tx, table string, columns []string, n int,
	row func(i int) []any) error {
	insert := sq.Insert(table).Columns(columns...).PlaceholderFormat(sq.Dollar)
	for i := range n {
		insert = insert.Values(slices.Clone(row(i))...)
	}
	text, args, err := insert.ToSql()
	if err != nil {
		return err
	}
	return tx.Later(ctx, dialect.Statement{Text: text, Args: args})
}
