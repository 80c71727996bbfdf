package sqlrepo

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
)

// dumped lists the tables of a dump and their columns, each table ordered by its key. It leaves out what is no
// content: leases, counters, what the machine of an entry says about it, the revisions of spaces, the identities of
// stores, and the position of sealing.
var dumped = []struct {
	table   string
	columns []string
	key     string
}{
	{"spaces", spaceColumns, "id"},
	{"sources", sourceColumns, "id"},
	{"uploads", slices.Concat(without(uploadColumns, "token", "store"), without(tallyColumns, "sealed")), "id"},
	{"entries", without(entryColumns, ofMachine...), "id"},
	{"shards", without(shardColumns, "token"), "id"},
	{"indexes", indexColumns, "id"},
	{"segments", segmentColumns, "shard, chunk"},
	{"nodes", nodeColumns, "shard, position"},
	{"roots", rootColumns, "entry"},
}

func without(columns []string, left ...string) (kept []string) {
	for _, column := range columns {
		if !slices.Contains(left, column) {
			kept = append(kept, column)
		}
	}
	return kept
}

// Dump writes the logical content of the repository at one moment as JSON lines: {"table":...} and the row's
// columns. The order depends on the content alone, and binary columns are in hexadecimal. The same work gives the
// same bytes on every engine, except for times, generated DIDs and locations.
func (r *Repository) Dump(ctx context.Context, w io.Writer) error {
	tx, err := r.beginSnapshot(ctx)
	if err != nil {
		return r.classified("dump", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only reads

	for _, d := range dumped {
		query := sq.Select(d.columns...).From(d.table).OrderBy(d.key)
		if err := r.dumpTable(ctx, tx, w, d.table, d.columns, query); err != nil {
			return r.classified("dump "+d.table, err)
		}
	}
	return nil
}

func (r *Repository) dumpTable(ctx context.Context, tx *sqlx.Tx, w io.Writer, table string, columns []string,
	query sq.SelectBuilder) error {
	return r.stream(ctx, tx, query, func(rows *sqlx.Rows) error {
		values, err := rows.SliceScan()
		if err != nil {
			return err
		}

		line, err := dumpLine(table, columns, values)
		if err != nil {
			return err
		}

		if _, err := w.Write(line); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		return nil
	})
}

func dumpLine(table string, columns []string, values []any) ([]byte, error) {
	var line bytes.Buffer
	fmt.Fprintf(&line, `{"table":%q`, table)

	for i, value := range values {
		if raw, ok := value.([]byte); ok {
			value = hex.EncodeToString(raw)
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&line, `,%q:%s`, columns[i], encoded)
	}

	line.WriteString("}\n")
	return line.Bytes(), nil
}
