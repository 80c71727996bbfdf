package dialect

import "strings"

// Seal is what a backup says it holds.
type Seal struct {
	// Version is the schema's.
	Version uint
	Tables  []SealedTable
}

// SealedTable is what a backup says it holds of one table: the columns that were summed, in their order, how many rows
// there are, and the digest of all of them.
type SealedTable struct {
	Name    string `db:"name"`
	Columns string `db:"columns"` // with ", " between them
	Rows    int64  `db:"row_count"`
	Digest  string `db:"digest"`
}

// SealedColumns are the columns of a table as a seal names them.
func SealedColumns(columns []string) string { return strings.Join(columns, ", ") }
