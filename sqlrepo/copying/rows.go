package copying

import (
	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// countsKeys matches the counters of keys. The other counters count transactions and locks, which belong to one
// database.
var countsKeys = sq.And{
	sq.NotLike{"name": core.ReceiptPrefix + "%"}, sq.NotEq{"name": dialect.LockCounter},
}

// allRows selects all rows and columns of a table, except the counters of transactions and locks.
func allRows(t schema.Table) sq.SelectBuilder { return ownRows(t, sq.Select(t.Columns...)) }

// unleasedRows is like allRows, as if no work were claimed, in the order of the key.
func unleasedRows(t schema.Table) sq.SelectBuilder {
	return ownRows(t, sq.Select(schema.Unleased(t.Columns)...)).OrderBy(t.Key...)
}

// usedRows selects the rows that an empty repository does not have.
func usedRows(t schema.Table) sq.SelectBuilder {
	query := ownRows(t, sq.Select("1"))
	if t.Name == core.CounterTable {
		query = query.Where(sq.NotEq{"value": 0})
	}
	return query
}

func ownRows(t schema.Table, query sq.SelectBuilder) sq.SelectBuilder {
	query = query.From(t.Name)
	if t.Name == core.CounterTable {
		query = query.Where(countsKeys)
	}
	return query
}
