package dialecttest

import (
	"bytes"
	"context"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// BulkRow is a row of the table bulk.
type BulkRow struct {
	N    int64
	Data []byte
	Text *string
}

// BulkRows returns n rows that include every kind of empty value.
func BulkRows(n int) (rows []BulkRow) {
	texts := []string{"", "日本 ? $1", "'", `\N`, `\.`, "\t\r\n\\", `\x00`}
	for i := range n {
		row := BulkRow{N: int64(i) - 2<<40}
		switch i % 3 {
		case 1:
			row.Data = []byte{}
		case 2:
			row.Data = []byte{0, 0xff, byte(i)}
		}

		if kind := i % (1 + len(texts)); kind > 0 {
			row.Text = &texts[kind-1]
		}
		rows = append(rows, row)
	}
	return rows
}

// InsertBulk inserts rows with BulkInsert. It returns the same slice for every row, as BulkInsert allows.
func InsertBulk(ctx context.Context, db *dialect.DB, rows []BulkRow) error {
	columns, values := []string{"n", "data", "text"}, make([]any, 3)
	return InTx(ctx, db, func(tx *dialect.Tx) error {
		return db.BulkInsert(ctx, tx, "bulk", columns, len(rows), func(i int) []any {
			values[0], values[1], values[2] = rows[i].N, nil, nil
			if rows[i].Data != nil {
				values[1] = rows[i].Data
			}

			if rows[i].Text != nil {
				values[2] = *rows[i].Text
			}
			return values
		})
	})
}

// RequireBulk fails the test unless the table has these rows.
func RequireBulk(t *testing.T, db *dialect.DB, want []BulkRow) {
	t.Helper()
	var got []struct {
		BulkRow
		HasData bool `db:"has_data"`
	}
	const query = "SELECT n, data, text, data IS NOT NULL AS has_data FROM bulk ORDER BY n"
	if err := db.Reader.SelectContext(t.Context(), &got, query); err != nil {
		t.Fatal(err)
	}

	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}

	for i, row := range got {
		same := row.N == want[i].N && bytes.Equal(row.Data, want[i].Data) && row.HasData == (want[i].Data != nil)
		if !same || (row.Text == nil) != (want[i].Text == nil) || row.Text != nil && *row.Text != *want[i].Text {
			t.Fatalf("row %d: %+v, want %+v", i, row, want[i])
		}
	}
}
