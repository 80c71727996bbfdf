package core

import (
	"strings"

	sq "github.com/Masterminds/squirrel"
)

// CounterTable is the table of counters by name: those that give keys, receipts, and the counter of locks.
const CounterTable = "counters"

// Raised is the statement that raises a counter and returns its new value.
func Raised(counter string, n int) sq.Sqlizer {
	return sq.Insert(CounterTable).Columns("name", "value").Values(counter, n).
		Suffix("ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value RETURNING value")
}

// ColumnList joins columns for a RETURNING clause.
func ColumnList(columns []string) string { return strings.Join(columns, ", ") }

// Within matches rows whose column has one of the values that a query returns.
func Within(column string, query sq.SelectBuilder) sq.Sqlizer {
	return sq.ConcatExpr(column+" IN (", query, ")")
}

// Nullable returns the value, or NULL if it is the one that stands for nothing.
func Nullable[T comparable](value, nothing T) any {
	if value == nothing {
		return nil
	}
	return value
}

// Number returns a boolean as a column.
func Number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
