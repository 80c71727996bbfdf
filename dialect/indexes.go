package dialect

import (
	"context"
	"strings"

	"github.com/jmoiron/sqlx"
)

// index is an index that a statement makes.
type index struct{ Name, Definition string }

// WithoutIndexes runs fn, which fills a table in tx, while the table has no index except its primary key. The other
// indexes are made again afterwards, all at once. Keeping an index up to date row by row takes reads and writes all
// over it, once it does not fit into memory.
func (db *DB) WithoutIndexes(ctx context.Context, tx *Tx, table string, fn func() error) error {
	indexes, err := db.indexesOf(ctx, tx, table)
	if err != nil {
		return err
	}

	for _, i := range indexes {
		if _, err := tx.ExecContext(ctx, "DROP INDEX "+quoteName(i.Name)); err != nil {
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
	rows, err := tx.QueryxContext(ctx, db.MadeIndexes, table)
	if err != nil {
		return nil, err
	}
	err = sqlx.StructScan(rows, &indexes) // closes rows
	return indexes, err
}

// quoteName quotes a name as standard SQL does.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
