package copying

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

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// dumped lists the tables of a dump and their columns, each table ordered by its key. It leaves out what is no
// content: leases, counters, what the machine of an entry says about it, the revisions of spaces, stores, and the
// position of sealing.
var dumped = []struct {
	table   string
	columns []string
	key     string
}{
	{"spaces", schema.SpaceColumns, "id"},
	{"sources", schema.SourceColumns, "id"},
	{"uploads", slices.Concat(schema.Without(schema.UploadColumns, "token", "store"),
		schema.Without(schema.TallyColumns, "sealed")), "id"},
	{"upload_tags", schema.TagColumns, "upload, tag"},
	{"entries", schema.Without(schema.EntryColumns, schema.MachineColumns...), "id"},
	{"shards", schema.Without(schema.ShardColumns, "token"), "id"},
	{"indexes", schema.IndexColumns, "id"},
	{"segments", schema.SegmentColumns, "shard, chunk"},
	{"nodes", schema.NodeColumns, "shard, position"},
	{"roots", schema.RootColumns, "entry"},
}

// Dump writes the logical content of the repository at one moment as JSON lines: {"table":...} and the row's
// columns. The order depends on the content alone, and binary columns are in hexadecimal. The same work gives the
// same bytes on every engine, except for times and generated DIDs.
func (c *Copier) Dump(ctx context.Context, w io.Writer) error {
	tx, err := c.db.BeginSnapshot(ctx)
	if err != nil {
		return c.db.Classified("dump", err)
	}
	defer tx.End()

	var tables []schema.Table
	for _, d := range dumped {
		tables = append(tables, schema.Table{Name: d.table})
	}
	counted, err := newMeter(ctx, tx, tables, c.progress)
	if err != nil {
		return c.db.Classified("count the rows", err)
	}

	for _, d := range dumped {
		query := sq.Select(d.columns...).From(d.table).OrderBy(d.key)
		if err := dumpTable(ctx, tx, w, d.table, d.columns, query, counted); err != nil {
			return c.db.Classified("dump "+d.table, err)
		}
	}
	return nil
}

func dumpTable(ctx context.Context, tx *core.Snapshot, w io.Writer, table string, columns []string,
	query sq.SelectBuilder, counted *meter) error {
	written := int64(0)
	err := tx.Stream(ctx, query, func(rows *sqlx.Rows) error {
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
		if written++; written%batchRows == 0 {
			counted.at(table, false, written)
		}
		return nil
	})
	if err == nil {
		counted.end(table, false, written)
	}
	return err
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
