package main

import (
	"database/sql"
	"os"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// TestAutovacuumScriptRunsAgain runs the script for autovacuum twice, as the owner of the tables in their schema. It
// names a table of the schema in each statement: one that is gone would be an error.
func TestAutovacuumScriptRunsAgain(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	roles, err := os.ReadFile("../../deploy/postgres/roles.sql")
	noError(t, err)
	noError(t, executeAs(t, server.URL(), string(roles)))
	script, err := os.ReadFile("../../deploy/postgres/autovacuum.sql")
	noError(t, err)

	owner := as(t, server, "guppy_owner", "postgres")
	i := install(t, build(t), engine{"postgres", func(testing.TB) string { return owner }})
	i.env = []string{"GUPPY_REPO_SCHEMA=guppy"}
	i.run(t, "migrate", "up")
	for range 2 {
		noError(t, executeAs(t, owner+"&search_path=guppy", string(script)))
	}

	db, err := sql.Open("pgx", owner)
	noError(t, err)
	defer func() { noError(t, db.Close()) }()
	var tables []string
	rows, err := db.QueryContext(t.Context(), `SELECT relname FROM pg_class
		WHERE relnamespace = 'guppy'::regnamespace AND reloptions IS NOT NULL ORDER BY relname`)
	noError(t, err)
	for rows.Next() {
		var name string
		noError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	noError(t, rows.Err())
	noError(t, rows.Close())
	if want := []string{"entries", "nodes", "roots", "segments", "shards"}; !slices.Equal(tables, want) {
		t.Errorf("settings of %q, want %q", tables, want)
	}
}
