package dialect

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"
)

// index is one that a statement makes.
type index struct{ Name, Definition string }

// WithoutIndexes has fn fill a table in tx that has no index then but its primary key. Those that it had are made
// again, all at once: to keep an index up row by row takes reads and writes all over it, once it does not fit memory
// any more.
func (db *DB) WithoutIndexes(ctx context.Context, tx *Tx, table string, fn func() error) error {
	indexes, err := db.indexesOf(ctx, tx, table)
	if err != nil {
		return err
	}
	for _, i := range indexes {
		if _, err := tx.ExecContext(ctx, "DROP INDEX "+pgx.Identifier{i.Name}.Sanitize()); err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return err
	}
	for _, i := range indexes {
		if _, err := tx.ExecContext(ctx, i.Definition); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) indexesOf(ctx context.Context, tx *Tx, table string) (indexes []index, err error) {
	rows, err := tx.QueryxContext(ctx, db.indexes, table)
	if err != nil {
		return nil, err
	}
	err = sqlx.StructScan(rows, &indexes) // which closes them
	return indexes, err
}

// What lists the indexes of a table that statements have made.
const (
	sqliteMadeIndexes = `SELECT name, sql AS definition FROM sqlite_schema
		WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL`

	postgresMadeIndexes = `SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::text::regclass
		AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid)`
)
