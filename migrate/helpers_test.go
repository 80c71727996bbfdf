package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// envEnsure makes the test binary a program that only migrates the database that it names. With
// envMany it applies many small migrations, whatever the version, and prints a line before and after.
const (
	envEnsure = "GUPPY_TEST_MIGRATE_ENSURE"
	envMany   = "GUPPY_TEST_MIGRATE_MANY"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(envEnsure); url != "" {
		if err := ensure(dialect.Settings{URL: dialect.Secret(url)}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	pgtest.Main(m)
}

func ensure(settings dialect.Settings) error {
	if os.Getenv(envMany) == "" {
		_, err := New(settings).Up(context.Background())
		return err
	}
	fmt.Println("begins")
	_, err := migrator(settings, manyFiles(many)).Ensure(context.Background(), true)
	fmt.Println("ended:", err)
	return err
}

// forEachEngine runs a test with the settings of a fresh database on every engine.
func forEachEngine(t *testing.T, test func(t *testing.T, settings dialect.Settings)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteSettings(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgresSettings(t)) })
}

// forEachLong is forEachEngine for what hardly depends on the engine: without the build tag long, on SQLite alone.
func forEachLong(t *testing.T, test func(t *testing.T, settings dialect.Settings)) {
	t.Helper()
	if long {
		forEachEngine(t, test)
		return
	}
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteSettings(t)) })
}

func sqliteSettings(t *testing.T) dialect.Settings {
	t.Helper()
	return dialect.Settings{URL: dialect.Secret(filepath.Join(t.TempDir(), "guppy.db"))}
}

func postgresSettings(t *testing.T) dialect.Settings {
	t.Helper()
	return dialect.Settings{URL: dialect.Secret(pgtest.URL(t))}
}

// three are migrations that both engines understand.
var three = []string{
	"0001_one.up.sql", "CREATE TABLE one (n BIGINT);",
	"0001_one.down.sql", "DROP TABLE one;",
	"0002_two.up.sql", "CREATE TABLE two (n BIGINT); INSERT INTO two VALUES (2);",
	"0002_two.down.sql", "DROP TABLE two;",
	"0003_three.up.sql", "CREATE TABLE three (n BIGINT);",
	"0003_three.down.sql", "DROP TABLE three;",
}

// files makes migrations from pairs of a name and a text; a later pair replaces an earlier one.
func files(pairs ...string) fs.FS {
	made := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		for _, engine := range dialect.Names() {
			made[engine+"/"+pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
		}
	}
	return made
}

// first keeps n of the three migrations.
func first(n int) fs.FS { return files(three[:4*n]...) }

// embeddedFiles is a copy of the embedded migrations.
func embeddedFiles(t *testing.T) fstest.MapFS {
	t.Helper()
	made := fstest.MapFS{}
	err := fs.WalkDir(embedded, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := embedded.ReadFile(name)
		made[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// firstEmbedded keeps n of the embedded migrations.
func firstEmbedded(t *testing.T, n int) fs.FS {
	t.Helper()
	kept := embeddedFiles(t)
	for _, engine := range dialect.Names() {
		all, err := readList(embedded, engine)
		if err != nil {
			t.Fatal(err)
		}
		for _, later := range all[n:] {
			delete(kept, engine+"/"+later.up)
			delete(kept, engine+"/"+later.down)
		}
	}
	return kept
}

// with changes or adds files.
func with(pairs ...string) fs.FS { return files(append(append([]string{}, three...), pairs...)...) }

// migrator may drop data: what it may drop without is tested by itself.
func migrator(settings dialect.Settings, files fs.FS, options ...Option) *Migrator {
	return New(settings, append([]Option{WithMigrations(files), WithDestroyData()}, options...)...)
}

func mustUp(t *testing.T, m *Migrator) Result {
	t.Helper()
	result, err := m.Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func mustStatus(t *testing.T, m *Migrator) Status {
	t.Helper()
	status, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func requireVersion(t *testing.T, m *Migrator, version uint, dirty bool) {
	t.Helper()
	if status := mustStatus(t, m); status.Current != version || status.Dirty != dirty {
		t.Fatalf("version %d, dirty %t; want %d, %t", status.Current, status.Dirty, version, dirty)
	}
}

// requireRefused checks the reason, the versions and that the hint names a command.
func requireRefused(t *testing.T, err, reason error, current, required uint, command string) {
	t.Helper()
	var refused *RefusedError
	if !errors.Is(err, reason) || !errors.As(err, &refused) {
		t.Fatalf("error %v, want %v", err, reason)
	}
	if refused.Current != current || refused.Required != required {
		t.Errorf("versions %d and %d, want %d and %d", refused.Current, refused.Required, current, required)
	}
	if !strings.Contains(err.Error(), command) {
		t.Errorf("%q doesn't name the command %q", err, command)
	}
}

func openDB(t *testing.T, settings dialect.Settings) *dialect.DB {
	t.Helper()
	db, err := dialect.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, settings dialect.Settings, statements ...string) {
	t.Helper()
	db := openDB(t, settings)
	for _, statement := range statements {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func hasTable(t *testing.T, settings dialect.Settings, name string) bool {
	t.Helper()
	db := openDB(t, settings)
	found, err := db.HasTable(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// many is how many migrations manyFiles are.
const many = 20

// manyFiles are migrations that each make a table with a row.
func manyFiles(n int) fs.FS {
	var pairs []string
	for i := 1; i <= n; i++ {
		pairs = append(pairs,
			fmt.Sprintf("%04d_table.up.sql", i), fmt.Sprintf("CREATE TABLE t%d (n BIGINT); INSERT INTO t%d VALUES (1);", i, i),
			fmt.Sprintf("%04d_table.down.sql", i), fmt.Sprintf("DROP TABLE t%d;", i))
	}
	return files(pairs...)
}
