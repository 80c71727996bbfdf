package sqlrepo

import (
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// table is one of the repository's tables, with all of its columns and its key.
type table struct {
	name    string
	columns []string
	key     []string
}

// tables lists all tables, each behind those that it refers to.
var tables = []table{
	{"spaces", append(slices.Clone(spaceColumns), "revision", "needs"), []string{"id"}},
	{"sources", sourceFields, []string{"id"}},
	{"uploads", uploadRow, []string{"id"}},
	{"entries", entryColumns, []string{"id"}},
	{"shards", slices.Concat(shardColumns, leaseColumns), []string{"id"}},
	{"indexes", indexColumns, []string{"id"}},
	{"segments", segmentColumns, []string{"shard", "chunk"}},
	{"nodes", nodeColumns, []string{"shard", "position"}},
	{"roots", rootColumns, []string{"entry"}},
	{counterTable, []string{"name", "value"}, []string{"name"}},
}

const counterTable = "counters"

// countsKeys matches the counters of keys. The other counters count transactions and locks, which belong to one
// database.
var countsKeys = sq.And{
	sq.NotLike{"name": receiptPrefix + "%"}, sq.NotEq{"name": dialect.LockCounter},
}

var stageColumns = []string{"stage_began", "stage_bytes", "scanned_again"}

// leaseColumns are the columns of a lease except its token.
var leaseColumns = []string{"worker", "lease_began", "lease_seen", "lease_ends", "progress", "attempts", "retry_at",
	"set_aside_at", "error"}

// blanks stand for NULL in columns that Go reads as text or as a key.
var blanks = map[string]string{"worker": "''", "error": "''", "store": "''", "location": "''", "blob_index": "0"}

// readable are the fields of a SELECT that reads these columns into a struct.
func readable(columns []string) (fields []string) {
	for _, column := range columns {
		if blank, null := blanks[column]; null {
			column = "COALESCE(" + column + ", " + blank + ") AS " + column
		}
		fields = append(fields, column)
	}
	return fields
}

// released has the columns of a lease with their values while no worker has the work; see free.
var released = map[string]string{"token": "0", "worker": "NULL", "lease_began": "NULL", "lease_seen": "NULL",
	"lease_ends": "NULL", "progress": "0"}

// content selects all rows and columns of a table, except the counters of transactions and locks.
func (t table) content() sq.SelectBuilder { return t.owned(sq.Select(t.columns...)) }

// unleased is like content, as if no work were claimed, in the order of the key.
func (t table) unleased() sq.SelectBuilder {
	fields := slices.Clone(t.columns)
	for i, column := range t.columns {
		if none, leased := released[column]; leased {
			fields[i] = none + " AS " + column
		}
	}
	return t.owned(sq.Select(fields...)).OrderBy(t.key...)
}

// used selects the rows that an empty repository does not have.
func (t table) used() sq.SelectBuilder {
	query := t.owned(sq.Select("1"))
	if t.name == counterTable {
		query = query.Where(sq.NotEq{"value": 0})
	}
	return query
}

func (t table) owned(query sq.SelectBuilder) sq.SelectBuilder {
	query = query.From(t.name)
	if t.name == counterTable {
		query = query.Where(countsKeys)
	}
	return query
}
