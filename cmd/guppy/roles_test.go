package main

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// as returns the URL of a database of a server, for a role.
func as(t *testing.T, server *pgtest.Server, role, database string) string {
	t.Helper()
	parsed, err := url.Parse(server.URL())
	noError(t, err)
	parsed.User, parsed.Path = url.User(role), "/"+database
	return parsed.String()
}

// executeAs runs a script in a database.
func executeAs(t *testing.T, databaseURL, script string) error {
	t.Helper()
	db, err := sql.Open("pgx", databaseURL)
	noError(t, err)
	_, err = db.ExecContext(t.Context(), script)
	noError(t, db.Close())
	return err
}

// TestRolesHaveTheRightsThatTheyNeed runs the script for roles twice, as the administrator of a managed service, who is
// no superuser. Then each role does what it is for, and is refused the rest.
func TestRolesHaveTheRightsThatTheyNeed(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	noError(t, executeAs(t, server.URL(), "CREATE ROLE administrator LOGIN CREATEROLE"))
	noError(t, executeAs(t, server.URL(), "CREATE DATABASE guppy OWNER administrator"))
	script, err := os.ReadFile("../../deploy/postgres/roles.sql")
	noError(t, err)

	worker := as(t, server, "guppy_worker", "guppy")
	i := install(t, build(t), engine{"postgres", func(testing.TB) string { return worker }})
	i.env = []string{"GUPPY_REPO_SCHEMA=guppy", "GUPPY_REPO_MIGRATE_URL=" + as(t, server, "guppy_owner", "guppy"),
		"GUPPY_REPO_READ_URL=" + as(t, server, "guppy_reader", "guppy")}
	for range 2 {
		noError(t, executeAs(t, as(t, server, "administrator", "guppy"), string(script)))
		i.run(t, "migrate", "up")
	}

	// The worker prepares, repairs and removes, and the reader reads.
	source := filepath.Join(i.home, "source")
	noError(t, os.Mkdir(source, 0o755))
	noError(t, os.WriteFile(filepath.Join(source, "file"), make([]byte, 100_000), 0o644))
	i.run(t, "prepare", source)
	i.run(t, "prepare", source, "--always")
	i.run(t, "worker", "--exit-when-idle")
	i.run(t, "check", "--repair", "--yes", "--read-data")
	i.read(t, "repo.read_url names a database that follows no other one")
	i.run(t, "upload", "rm", "2", "--yes")
	i.run(t, "gc", "--yes")
	i.run(t, "migrate", "down", "--yes", "--destroy-data")
	i.run(t, "migrate", "up")
	i.run(t, "check")

	for statement, role := range map[string]string{
		"CREATE TABLE guppy.other (n BIGINT)":                              "guppy_worker",
		"DROP TABLE guppy.shards":                                          "guppy_worker",
		"CREATE SCHEMA other":                                              "guppy_owner",
		"DELETE FROM guppy.shards":                                         "guppy_reader",
		"UPDATE guppy.uploads SET state = 1":                               "guppy_reader",
		"CREATE ROLE other":                                                "guppy_owner",
		"ALTER TABLE guppy.shards OWNER TO guppy_reader":                   "guppy_worker",
		"TRUNCATE guppy.copies":                                            "guppy_worker",
		"CREATE FUNCTION guppy.f() RETURNS int LANGUAGE sql AS 'SELECT 1'": "guppy_worker",
		"SELECT pg_read_file('postgresql.conf')":                           "guppy_owner",
		"INSERT INTO guppy.spaces (did) VALUES ('did:key:')":               "guppy_reader",
	} {
		if err := executeAs(t, as(t, server, role, "guppy"), statement); err == nil {
			t.Errorf("%s may %s", role, statement)
		} else if !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// TestAReaderCanNotPrepare requires advice for a role with too few rights.
func TestAReaderCanNotPrepare(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	script, err := os.ReadFile("../../deploy/postgres/roles.sql")
	noError(t, err)
	noError(t, executeAs(t, server.URL(), string(script)))

	reader := as(t, server, "guppy_reader", "postgres")
	i := install(t, build(t), engine{"postgres", func(testing.TB) string { return reader }})
	i.env = []string{"GUPPY_REPO_SCHEMA=guppy", "GUPPY_REPO_MIGRATE_URL=" + as(t, server, "guppy_owner", "postgres")}
	i.run(t, "migrate", "up")
	p := i.start(t, "prepare", i.home)
	if code := p.exit(t); code != 4 || !strings.Contains(p.stderr.String(), "GRANT SELECT, INSERT, UPDATE, DELETE") {
		t.Errorf("exit code %d\n%s", code, &p.stderr)
	}
}
