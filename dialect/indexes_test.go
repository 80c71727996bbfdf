package dialect_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

var indexQueries = map[string]string{
	"sqlite":   "SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
	"postgres": "SELECT indexdef FROM pg_indexes WHERE tablename IN ('many', 'other') ORDER BY indexname",
}

func TestIndexesAreMadeAgain(t *testing.T) {
	errFailed := errors.New("failed")
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db, "CREATE TABLE many (id BIGINT PRIMARY KEY, n BIGINT UNIQUE, m BIGINT)",
			"CREATE TABLE other (n BIGINT)",
			"CREATE UNIQUE INDEX many_m ON many (m, n) WHERE m > 1", `CREATE INDEX "ma""ny N" ON many (n)`,
			"CREATE INDEX other_n ON other (n)", "INSERT INTO many VALUES (0, 0, 0)")
		before := listIndexes(t, db, db.Reader)
		for _, failure := range []error{errFailed, nil} {
			err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
				return db.WithoutIndexes(t.Context(), tx, "many", func() error {
					if left := listIndexes(t, db, tx); len(left) != len(before)-2 {
						t.Errorf("left are %q of %q", left, before)
					}
					_, err := tx.ExecContext(t.Context(), "INSERT INTO many VALUES (1, 1, 2)")
					return errors.Join(failure, err)
				})
			})
			if !errors.Is(err, failure) {
				t.Errorf("error %v, want %v", err, failure)
			}
			if got := listIndexes(t, db, db.Reader); !slices.Equal(got, before) {
				t.Errorf("there are %q, before %q", got, before)
			}
		}

		if n := dialecttest.Get[int](t, db, "SELECT COUNT(*) FROM many"); n != 2 {
			t.Errorf("%d rows", n)
		}
		_, err := db.Writer.ExecContext(t.Context(), "INSERT INTO many VALUES (2, 1, 2)")
		if db.Classify(err) != dialect.Exists {
			t.Errorf("one that is there already: %v", err)
		}
	})
}

type queryer interface {
	QueryxContext(ctx context.Context, text string, args ...any) (*sqlx.Rows, error)
}

func listIndexes(t *testing.T, db *dialect.DB, q queryer) (definitions []string) {
	t.Helper()
	rows, err := q.QueryxContext(t.Context(), indexQueries[db.Name])
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells

	for rows.Next() {
		var definition string
		if err := rows.Scan(&definition); err != nil {
			t.Fatal(err)
		}
		definitions = append(definitions, definition)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return definitions
}
