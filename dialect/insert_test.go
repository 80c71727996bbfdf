package dialect_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func TestBulkInsert(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db, "CREATE TABLE bulk (n BIGINT PRIMARY KEY, data BYTEA, text TEXT)")
		for _, n := range []int{0, 1, 2, 32, 33, 34, 49, 50, 51, 66, 99, 1000} {
			dialecttest.Execute(t, db, "DELETE FROM bulk")
			want := dialecttest.BulkRows(n)
			if err := dialecttest.InsertBulk(t.Context(), db, want); err != nil {
				t.Fatalf("%d rows: %v", n, err)
			}
			dialecttest.RequireBulk(t, db, want)
		}
	})
}

func TestBulkInsertIsPartOfItsTransaction(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db, "CREATE TABLE bulk (n BIGINT PRIMARY KEY, data BYTEA, text TEXT)")
		rows := dialecttest.BulkRows(200)
		rows[199].N = rows[0].N
		if err := dialecttest.InsertBulk(t.Context(), db, rows); db.Classify(err) != dialect.Exists {
			t.Errorf("a key twice: %v", err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		err := dialecttest.InTx(ctx, db, func(tx *dialect.Tx) error {
			cancel()
			return db.BulkInsert(ctx, tx, "bulk", []string{"n"}, 100, func(i int) []any { return []any{int64(i)} })
		})

		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		dialecttest.RequireBulk(t, db, nil)
	})
}

func TestBulkInsertOfManyColumns(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		var columns []string
		row := make([]any, 150)
		for i := range row {
			columns = append(columns, fmt.Sprintf("c%d", i))
		}

		dialecttest.Execute(t, db, "CREATE TABLE wide ("+strings.Join(columns, " BIGINT, ")+" BIGINT)")
		err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
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

		if sum := dialecttest.Get[int](t, db, "SELECT CAST(SUM(c149) AS BIGINT) FROM wide"); sum != 21000+7*149 {
			t.Errorf("sum %d", sum)
		}
	})
}

func TestAmong(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db, "CREATE TABLE bulk (n BIGINT PRIMARY KEY)",
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
