package dialect

import "strings"

// Seal is what a backup says it holds.
type Seal struct {
	// Version is the version of the schema.
	Version uint
	Tables  []SealedTable
}

// SealedTable is what a backup says it holds of one table: the columns that were summed, in order, the number of
// rows, and the digest of all rows.
type SealedTable struct {
	Name    string `db:"name"`
	Columns string `db:"columns"` // with ", " between them
	Rows    int64  `db:"row_count"`
	Digest  string `db:"digest"`
}

// SealedColumns returns the columns of a table in the form that a seal has.
func SealedColumns(columns []string) string { return strings.Join(columns, ", ") }
