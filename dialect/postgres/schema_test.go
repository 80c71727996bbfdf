package postgres_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func withSchema(location, schema string) dialect.Settings {
	return dialect.Settings{URL: dialect.Secret(location), Options: []any{postgres.Options{Schema: schema}}}
}

func mustMakeSchema(t *testing.T, settings dialect.Settings) {
	t.Helper()
	if err := dialect.MakeSchema(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
}

func TestSchemaIsMadeAndUsed(t *testing.T) {
	location := pgtest.URL(t)
	for _, schema := range []string{
		"guppy", "Upper Case", `odd"'name;--`, "select", "a,b", "public2.x", strings.Repeat("ü", 31),
	} {
		settings := withSchema(location, schema)
		requireSchemaError(t, settings, "guppy migrate up")
		mustMakeSchema(t, settings)
		mustMakeSchema(t, settings)

		db := dialecttest.Open(t, settings)
		if empty, err := db.IsEmpty(t.Context(), "x"); err != nil || !empty {
			t.Errorf("%q: empty %t, %v", schema, empty, err)
		}
		dialecttest.Execute(t, db, "CREATE TABLE here (n BIGINT)", "INSERT INTO here SELECT generate_series(1, 1000)")
		got := dialecttest.Get[string](t, db, "SELECT nspname FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid "+
			"WHERE c.oid = 'here'::regclass")
		if got != schema {
			t.Errorf("the table of %q is in %q", schema, got)
		}

		found, err := db.HasTable(t.Context(), "here")
		size, sizeErr := db.Size(t.Context())
		err = errors.Join(err, sizeErr, db.Analyze(t.Context(), []string{"here"}))
		if err != nil || !found || size < 8192 {
			t.Errorf("%q: found %t, %d bytes, %v", schema, found, size, err)
		}
	}
}

func requireSchemaError(t *testing.T, settings dialect.Settings, want string) {
	t.Helper()
	db, err := dialect.Open(t.Context(), settings)
	if err == nil {
		t.Fatalf("it was opened: %v", db.Close())
	}
	if !errors.Is(err, dialect.ErrSchema) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v doesn't say: %s", err, want)
	}
}

func TestSchemaIsMadeByMany(t *testing.T) {
	settings := withSchema(pgtest.URL(t), "shared")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := dialect.MakeSchema(t.Context(), settings); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	dialecttest.Open(t, settings)
}

func TestMakeSchemaNeedsNone(t *testing.T) {
	dialecttest.Each(t, mustMakeSchema)
	mustMakeSchema(t, dialect.Settings{Type: "sqlite", Options: []any{postgres.Options{Schema: "s"}}})
	if err := dialect.MakeSchema(t.Context(), withSchema("mysql://h", "s")); !errors.Is(err, dialect.ErrSettings) {
		t.Errorf("got %v", err)
	}
}

// TestSchemaOfAnotherRole has a role that can neither make nor use schemas, and then may use one.
func TestSchemaOfAnotherRole(t *testing.T) {
	location := pgtest.Start(t).URL()
	admin := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(location)})
	dialecttest.Execute(t, admin, "CREATE ROLE worker LOGIN", "CREATE SCHEMA theirs")
	parsed, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}

	parsed.User = url.User("worker")
	if err := dialect.MakeSchema(t.Context(), withSchema(parsed.String(), "new")); err == nil ||
		(postgres.Engine{}).Classify(err) != dialect.Unusable {
		t.Errorf("a role without the right made a schema: %v", err)
	}

	settings := withSchema(parsed.String(), "theirs")
	requireSchemaError(t, settings, `GRANT USAGE, CREATE ON SCHEMA "theirs"`)
	dialecttest.Execute(t, admin, "GRANT USAGE ON SCHEMA theirs TO worker")
	mustMakeSchema(t, settings)
	dialecttest.Open(t, settings)
}
