package migrate

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// inSchema are the settings of a schema that is not there yet, beside others in the same database.
func inSchema(url, schema string) dialect.Settings {
	return dialect.Settings{URL: dialect.Secret(url), Options: []any{postgres.Options{Schema: schema}}}
}

func hasSchema(t *testing.T, url, schema string) bool {
	t.Helper()
	var found bool
	db := openDB(t, dialect.Settings{URL: dialect.Secret(url)})
	if err := db.Writer.GetContext(t.Context(), &found,
		"SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFailureLeavesNoSchemaOnPostgres(t *testing.T) {
	url := pgtest.URL(t)
	settings := inSchema(url, `Own "schema"`)
	broken := migrator(settings, with("0003_three.up.sql", "INSERT INTO nowhere VALUES (1);"))
	_, err := broken.Up(t.Context())
	requireFailed(t, err, "0003_three.up.sql", 0, "nowhere")
	_, err = broken.Ensure(t.Context(), true)
	requireFailed(t, err, "0003_three.up.sql", 0, "nowhere")
	if hasSchema(t, url, `Own "schema"`) {
		t.Error("the schema is left")
	}
	plan, err := broken.Plan(t.Context(), Latest())
	if err != nil || plan.Statements[0] != `CREATE SCHEMA IF NOT EXISTS "Own ""schema"""` {
		t.Errorf("%+v, %v", plan, err)
	}
	if _, err := broken.Ensure(t.Context(), false); !errors.Is(err, dialect.ErrSchema) {
		t.Errorf("unasked: %v", err)
	}
	if result, err := migrator(settings, first(3)).Ensure(t.Context(), true); err != nil || result.To != 3 {
		t.Errorf("once it is mended: %+v, %v", result, err)
	}
	if !hasTable(t, settings, "three") || hasTable(t, dialect.Settings{URL: dialect.Secret(url)}, "three") {
		t.Error("the tables are elsewhere")
	}
}

func TestBusySchemaIsNotMadeOnPostgres(t *testing.T) {
	url := pgtest.URL(t)
	settings := inSchema(url, "own")
	m := migrator(settings, first(3), WithLockTimeout(1))
	list, err := m.load()
	if err != nil {
		t.Fatal(err)
	}
	holder, err := m.begin(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context()); !errors.Is(err, ErrBusy) || hasSchema(t, url, "own") {
		t.Errorf("beside another: %v", err)
	}
	if result, err := migrator(inSchema(url, "other"), first(3)).Up(t.Context()); err != nil || result.To != 3 {
		t.Errorf("another schema: %+v, %v", result, err)
	}
	if err := holder.close(); err != nil {
		t.Fatal(err)
	}
	mustUp(t, m)
}

func TestManyMakeOneSchemaOnPostgres(t *testing.T) {
	settings := inSchema(pgtest.URL(t), "shared")
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if result, err := migrator(settings, first(3)).Up(t.Context()); err != nil || result.To != 3 {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
	group.Wait()
	requireVersion(t, migrator(settings, first(3)), 3, false)
}

// TestSchemaInUseIsNotThatOfOthersOnPostgres has somebody at work in one of two schemas of a database.
func TestSchemaInUseIsNotThatOfOthersOnPostgres(t *testing.T) {
	url := pgtest.URL(t)
	used, free := inSchema(url, "used"), inSchema(url, "free")
	mustUp(t, migrator(used, first(3)))
	mustUp(t, migrator(free, first(3)))
	db := openDB(t, used)
	use, err := db.LockUse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator(used, first(3)).Down(t.Context(), 1); !errors.Is(err, dialect.ErrLocked) ||
		!strings.Contains(err.Error(), "guppy, process") {
		t.Errorf("the schema in use: %v", err)
	}
	if result, err := migrator(free, first(3)).Down(t.Context(), 1); err != nil || result.To != 2 {
		t.Errorf("the other: %+v, %v", result, err)
	}
	if err := use.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestSchemasAreMadeSideBySideOnPostgres has one that takes its time.
func TestSchemasAreMadeSideBySideOnPostgres(t *testing.T) {
	url := pgtest.URL(t)
	slow := openDB(t, dialect.Settings{URL: dialect.Secret(url), Options: []any{postgres.Options{Schema: "slow"}},
		SchemaMayLack: true})
	all, err := slow.LockAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustUp(t, migrator(inSchema(url, "quick"), first(3)))
	if _, err := migrator(inSchema(url, "slow"), first(3)).Up(t.Context()); !errors.Is(err, dialect.ErrLocked) {
		t.Errorf("the schema that is made: %v", err)
	}
	if err := all.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestDirectSettings has a pooler in the way, through which the schema can't be changed.
func TestDirectSettings(t *testing.T) {
	direct := postgresSettings(t)
	pooled := dialect.WithOptions(direct, postgres.Options{TransactionPooler: true})
	if _, err := migrator(pooled, first(3)).Ensure(t.Context(), true); !errors.Is(err, ErrPooled) {
		t.Errorf("through the pooler: %v", err)
	}
	elsewhere := migrator(pooled, first(3), WithDirect(postgresSettings(t)))
	if _, err := elsewhere.Ensure(t.Context(), true); !errors.Is(err, ErrElsewhere) {
		t.Errorf("to another database: %v", err)
	}
	past := migrator(pooled, first(3), WithDirect(direct))
	if result, err := past.Ensure(t.Context(), true); err != nil || result.To != 3 {
		t.Errorf("past the pooler: %+v, %v", result, err)
	}
	requireVersion(t, migrator(pooled, first(3)), 3, false)
}

// TestARoleWithoutTheRightToMakeTables, as any but the owner of the database is from PostgreSQL 15 on: the first line
// says what it lacks, the second the command that gives it.
func TestARoleWithoutTheRightToMakeTables(t *testing.T) {
	location := pgtest.URL(t)
	execute(t, dialect.Settings{URL: dialect.Secret(location)}, "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
		"DO $$ BEGIN CREATE ROLE guppy_visitor LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
	visitor, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	visitor.User = url.User("guppy_visitor")
	for schema, want := range map[string]string{
		"":      `GRANT CREATE ON SCHEMA "public" TO "guppy_visitor"`,
		"apart": `CREATE SCHEMA IF NOT EXISTS "apart"; GRANT USAGE, CREATE ON SCHEMA "apart" TO "guppy_visitor"`,
	} {
		err := ensure(inSchema(visitor.String(), schema))
		var advised *dialect.Advised
		if !errors.As(err, &advised) || !strings.Contains(advised.Advice(), want) || strings.Contains(err.Error(), "\n") ||
			!strings.Contains(err.Error(), `role "guppy_visitor" may not make tables in schema`) {
			t.Errorf("schema %q: %v", schema, err)
		}
	}
}
