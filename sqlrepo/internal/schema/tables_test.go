package schema

import (
	"slices"
	"testing"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// TestTablesHaveAllColumns: what is missing in the list would be missing in every copy of a repository.
func TestTablesHaveAllColumns(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for _, listed := range Tables {
			text, _, err := sq.Select("*").From(listed.Name).Limit(0).ToSql()
			if err != nil {
				t.Fatal(err)
			}
			columns := columnsOf(t, db, text)
			want := slices.Sorted(slices.Values(listed.Columns))
			if slices.Sort(columns); !slices.Equal(columns, want) {
				t.Errorf("%s has the columns\n%q, listed are\n%q", listed.Name, columns, want)
			}
		}
	})
}

func columnsOf(t *testing.T, db *dialect.DB, query string) []string {
	t.Helper()
	rows, err := db.Reader.QueryxContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // it has none
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	return columns
}

func TestTablesAreAllListed(t *testing.T) {
	db := enginetest.Engines()[0].Open(t) // both have the same
	var names []string
	err := db.Reader.SelectContext(t.Context(), &names, `SELECT name FROM sqlite_schema
		WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'schema_migrations'`)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, table := range Tables {
		listed = append(listed, table.Name)
	}
	if slices.Sort(names); !slices.Equal(names, slices.Sorted(slices.Values(listed))) {
		t.Errorf("there are the tables\n%q, listed are\n%q", names, listed)
	}
}
