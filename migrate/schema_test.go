package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// schema says in the same words what both engines have: a sorted list of facts for each table.
type schema map[string][]string

// factQueries give a table and a fact a row, leaving the version table out.
var factQueries = map[string][]string{
	"sqlite": {
		`SELECT t.name, 'column ' || c.name || CASE c.type WHEN 'BLOB' THEN ' bytes' WHEN 'TEXT' THEN ' text'
			WHEN 'INTEGER' THEN ' integer' ELSE ' ' || c.type END ||
			CASE WHEN c."notnull" OR c.pk > 0 THEN ' not null' ELSE '' END ||
			COALESCE(' default ' || c.dflt_value, '')
		FROM pragma_table_list t JOIN pragma_table_info(t.name) c
		WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> 'schema_migrations'`,
		`SELECT t.name, 'primary key ' || 
			(SELECT group_concat(name, ',' ORDER BY pk) FROM pragma_table_info(t.name) WHERE pk > 0)
		FROM pragma_table_list t
		WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> 'schema_migrations'`,
		`SELECT t.name, CASE WHEN i."unique" THEN 'unique ' ELSE '' END || 'index ' || i.name || ' ' ||
			(SELECT group_concat(COALESCE(name, 'expression'), ',' ORDER BY seqno) FROM pragma_index_info(i.name)) ||
			CASE WHEN i.partial THEN ' partial' ELSE '' END
		FROM pragma_table_list t JOIN pragma_index_list(t.name) i
		WHERE t.schema = 'main' AND t.type = 'table' AND i.origin <> 'pk' AND t.name <> 'schema_migrations'`,
		`SELECT t.name, 'reference ' || f."from" || ' to ' || f."table" || '.' || f."to" ||
			' on delete ' || lower(f.on_delete)
		FROM pragma_table_list t JOIN pragma_foreign_key_list(t.name) f WHERE t.schema = 'main'`,
	},
	"postgres": {
		`SELECT table_name, 'column ' || column_name || CASE WHEN data_type = 'bytea' THEN ' bytes' WHEN data_type = 'text'
			THEN ' text' WHEN data_type IN ('bigint', 'integer', 'smallint') THEN ' integer' ELSE ' ' || data_type END ||
			CASE WHEN is_nullable = 'NO' THEN ' not null' ELSE '' END ||
			COALESCE(' default ' || replace(column_default, '::text', ''), '')
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_migrations'`,
		`SELECT t.relname, 'primary key ' ||
			(SELECT string_agg(a.attname, ',' ORDER BY array_position(x.indkey::int2[], a.attnum))
			FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = ANY (x.indkey::int2[]))
		FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid
		WHERE x.indisprimary AND t.relnamespace = 'public'::regnamespace AND t.relname <> 'schema_migrations'`,
		`SELECT t.relname, CASE WHEN x.indisunique THEN 'unique ' ELSE '' END || 'index ' || i.relname || ' ' ||
			(SELECT string_agg(COALESCE(a.attname, 'expression'), ',' ORDER BY k.n)
			FROM unnest(x.indkey::int2[]) WITH ORDINALITY k (attnum, n)
			LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum) ||
			CASE WHEN x.indpred IS NOT NULL THEN ' partial' ELSE '' END
		FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
		WHERE NOT x.indisprimary AND t.relnamespace = 'public'::regnamespace`,
		`SELECT t.relname, 'reference ' || a.attname || ' to ' || f.relname || '.' || b.attname || ' on delete ' ||
			CASE c.confdeltype WHEN 'a' THEN 'no action' WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null'
			ELSE c.confdeltype::text END
		FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid
		JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1]
		JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = c.confkey[1]
		WHERE c.contype = 'f'`,
	},
}

func readSchema(t *testing.T, settings dialect.Settings) schema {
	t.Helper()
	db := openDB(t, settings)
	found := schema{}
	for _, query := range factQueries[db.Name] {
		var facts []struct{ Table, Fact string }
		wrapped := fmt.Sprintf(`WITH facts (tab, fact) AS (%s) SELECT tab AS "table", fact FROM facts WHERE fact IS NOT NULL`,
			query)
		if err := db.Writer.SelectContext(t.Context(), &facts, wrapped); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for _, f := range facts {
			found[f.Table] = append(found[f.Table], f.Fact)
		}
	}
	for _, facts := range found {
		slices.Sort(facts)
	}
	return found
}

func requireEqual(t *testing.T, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestEnginesHaveTheSameSchema(t *testing.T) {
	read := func(settings dialect.Settings) schema {
		mustUp(t, New(settings))
		return readSchema(t, settings)
	}
	sqlite, postgres := read(sqliteSettings(t)), read(postgresSettings(t))
	requireEqual(t, slices.Sorted(maps.Keys(postgres)), slices.Sorted(maps.Keys(sqlite)))
	for table, facts := range sqlite {
		if got, want := strings.Join(postgres[table], "\n"), strings.Join(facts, "\n"); got != want {
			t.Errorf("table %s: postgres has\n%s\nsqlite has\n%s", table, got, want)
		}
		if len(facts) < 2 {
			t.Errorf("table %s: too few facts %q", table, facts)
		}
	}
}
