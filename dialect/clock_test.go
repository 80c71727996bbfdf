package dialect_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

// selected runs a query and returns its one column.
func selected[T any](t *testing.T, db *dialect.DB, query sq.SelectBuilder) (rows []T) {
	t.Helper()
	text, args, err := query.PlaceholderFormat(db.Placeholder).ToSql()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Reader.SelectContext(t.Context(), &rows, text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return rows
}

func TestClockIsTheDatabases(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		clock := func(offset time.Duration) time.Time {
			query := sq.Select().Column(db.Clock(offset))
			return time.UnixMicro(selected[int64](t, db, query)[0])
		}

		for _, offset := range []time.Duration{0, time.Hour, -time.Hour, 1500 * time.Microsecond} {
			before, now, after := time.Now(), clock(offset).Add(-offset), time.Now()
			if now.Before(before.Add(-time.Second)) || now.After(after.Add(time.Second)) {
				t.Errorf("%v by the database is %v here", now, before)
			}
		}

		first := clock(0)
		time.Sleep(20 * time.Millisecond)
		if passed := clock(0).Sub(first); passed < 10*time.Millisecond || passed > 10*time.Second {
			t.Errorf("%v passed", passed)
		}

		apart := sq.Select().Column(sq.ConcatExpr("(", db.Clock(time.Hour), ") - (", db.Clock(0), ")"))
		if d := time.Duration(selected[int64](t, db, apart)[0]) * time.Microsecond; d != time.Hour {
			t.Errorf("two times of one statement are %v apart, and not an hour", d)
		}
	})
}

func TestProbeFindsTheRowsOfKeys(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db, "CREATE TABLE probed (k BIGINT NOT NULL, n BIGINT NOT NULL)",
			"CREATE INDEX probed_k ON probed (k)")
		for n := range 10 {
			dialecttest.Execute(t, db, fmt.Sprintf("INSERT INTO probed VALUES (%d, %d)", (n%5-2)<<60, n))
		}

		probe := func(keys ...int64) []int64 {
			query := db.Probe(sq.Select("n"), "probed", "k", keys).Where(sq.Lt{"n": 9}).OrderBy("n")
			return selected[int64](t, db, query)
		}

		for _, tt := range []struct{ keys, want []int64 }{
			{nil, nil},
			{[]int64{7}, nil},
			{[]int64{0}, []int64{2, 7}},
			{[]int64{-2 << 60, 1 << 62, 2 << 60}, []int64{0, 4, 5}},
		} {
			if got := probe(tt.keys...); !slices.Equal(got, tt.want) {
				t.Errorf("keys %v: %v, want %v", tt.keys, got, tt.want)
			}
		}
	})
}
