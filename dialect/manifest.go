package dialect

import "strings"

// Manifest is what a backup says it holds.
type Manifest struct {
	// Version is the version of the schema.
	Version uint
	Tables  []ManifestTable
}

// ManifestTable is what a backup says it holds of one table: the columns that were summed, in order, the number of
// rows, and the digest of all rows.
type ManifestTable struct {
	Name    string `db:"name"`
	Columns string `db:"columns"` // with ", " between them
	Rows    int64  `db:"row_count"`
	Digest  string `db:"digest"`
}

// ManifestColumns returns the columns of a table in the form that a manifest has.
func ManifestColumns(columns []string) string { return strings.Join(columns, ", ") }
