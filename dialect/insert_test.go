package dialect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

type bulkRow struct {
	N    int64
	Data []byte
	Text *string
}

// bulkRows have every kind of nothing among their values.
func bulkRows(n int) (rows []bulkRow) {
	texts := []string{"", "日本 ? $1", "'", `\N`, `\.`, "\t\r\n\\", `\x00`}
	for i := range n {
		row := bulkRow{N: int64(i) - 2<<40}
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

// insertBulk gives one slice again and again, as BulkInsert allows.
func insertBulk(ctx context.Context, db *dialect.DB, rows []bulkRow) error {
	columns, values := []string{"n", "data", "text"}, make([]any, 3)
	return inTx(ctx, db, func(tx *dialect.Tx) error {
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

func TestBulkInsert(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		execute(t, db, "CREATE TABLE bulk (n BIGINT PRIMARY KEY, data BYTEA, text TEXT)")
		for _, n := range []int{0, 1, 2, 32, 33, 34, 49, 50, 51, 66, 99, 1000} {
			execute(t, db, "DELETE FROM bulk")
			want := bulkRows(n)
			if err := insertBulk(t.Context(), db, want); err != nil {
				t.Fatalf("%d rows: %v", n, err)
			}
			requireBulk(t, db, want)
		}
	})
}

func requireBulk(t *testing.T, db *dialect.DB, want []bulkRow) {
	t.Helper()
	var got []struct {
		bulkRow
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

func TestBulkInsertIsPartOfItsTransaction(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		execute(t, db, "CREATE TABLE bulk (n BIGINT PRIMARY KEY, data BYTEA, text TEXT)")
		rows := bulkRows(200)
		rows[199].N = rows[0].N
		if err := insertBulk(t.Context(), db, rows); db.Classify(err) != dialect.Exists {
			t.Errorf("a key twice: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := inTx(ctx, db, func(tx *dialect.Tx) error {
			cancel()
			return db.BulkInsert(ctx, tx, "bulk", []string{"n"}, 100, func(i int) []any { return []any{int64(i)} })
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		requireBulk(t, db, nil)
	})
}

func TestBulkInsertOfManyColumns(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		var columns []string
		row := make([]any, 150)
		for i := range row {
			columns = append(columns, fmt.Sprintf("c%d", i))
		}
		execute(t, db, "CREATE TABLE wide ("+strings.Join(columns, " BIGINT, ")+" BIGINT)")
		err := inTx(t.Context(), db, func(tx *dialect.Tx) error {
			return db.BulkInsert(t.Context(), tx, "wide", columns, 7, func(i int) []any {
				for c := range row {
					row[c] = int64(1000*i + c)
				}
				return row
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if sum := get[int](t, db, "SELECT CAST(SUM(c149) AS BIGINT) FROM wide"); sum != 21000+7*149 {
			t.Errorf("sum %d", sum)
		}
	})
}

func TestAmong(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		execute(t, db, "CREATE TABLE bulk (n BIGINT PRIMARY KEY)",
			"INSERT INTO bulk VALUES (-7), (0), (1), (9223372036854775807)")
		many := make([]int64, 40000)
		for i := range many {
			many[i] = int64(i)
		}
		for _, tt := range []struct {
			keys []int64
			want int
		}{{nil, 0}, {[]int64{5}, 0}, {[]int64{-7, 1, 1}, 2}, {[]int64{1<<63 - 1}, 1}, {many, 2}} {
			text, args, err := db.Among("n", tt.keys).ToSql()
			if err != nil {
				t.Fatal(err)
			}
			if text, err = db.Placeholder.ReplacePlaceholders("SELECT COUNT(*) FROM bulk WHERE " + text); err != nil {
				t.Fatal(err)
			}
			var n int
			if err := db.Reader.GetContext(t.Context(), &n, text, args...); err != nil || n != tt.want {
				t.Errorf("%d keys: %d rows, want %d; %v", len(tt.keys), n, tt.want, err)
			}
		}
	})
}
