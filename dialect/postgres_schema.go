package dialect

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// ErrSchema is returned for a schema that is not there or can't be used; the error's text says what to do.
var ErrSchema = errors.New("database schema")

// schemaState is what a session makes of the schema that the settings name.
type schemaState struct {
	Current string `db:"current"`
	Exists  bool   `db:"there"`
	Usable  bool   `db:"usable"`
}

func readSchemaState(ctx context.Context, pool *sqlx.DB, schema string) (state schemaState, err error) {
	err = pool.GetContext(ctx, &state, `SELECT COALESCE(current_schema(), '')::text AS current,
		COUNT(*) > 0 AS there, COALESCE(BOOL_OR(has_schema_privilege(oid, 'USAGE')), FALSE) AS usable
		FROM pg_namespace WHERE nspname = $1`, schema)
	return state, err
}

// checkSchema makes sure that tables are made and found in the schema. A pooler may have kept the search path back.
func checkSchema(ctx context.Context, pool *sqlx.DB, s Settings) error {
	schema := s.Server.Schema
	if schema == "" {
		return nil
	}
	state, err := readSchemaState(ctx, pool, schema)
	switch {
	case err != nil:
		return err
	case state.Current == schema:
		return nil
	case !state.Exists:
		return fmt.Errorf("%w: there is no schema %q (repo.schema): to make it, run: guppy migrate up", ErrSchema, schema)
	case !state.Usable:
		return fmt.Errorf("%w: the role may not use schema %q (repo.schema): GRANT USAGE, CREATE ON SCHEMA %s TO it",
			ErrSchema, schema, quoteIdentifier(schema))
	}
	return fmt.Errorf("%w: sessions use schema %q instead of %q (repo.schema), as they do behind a pooler: "+
		"on the server, ALTER ROLE ... SET search_path = %s, then have the pooler connect anew",
		ErrSchema, state.Current, schema, quoteIdentifier(schema))
}

// postgresMakeSchema looks first: a role that can't make schemas may use one that is there.
func postgresMakeSchema(ctx context.Context, s Settings) (err error) {
	pool, err := openPool(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	state, err := readSchemaState(ctx, pool, s.Server.Schema)
	if err != nil || state.Exists {
		return err
	}
	_, err = pool.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoteIdentifier(s.Server.Schema))
	// Two that make it at the same time may both find it missing.
	if err != nil && classifyPostgres(err) != Exists {
		return fmt.Errorf("make schema %q: %w", s.Server.Schema, err)
	}
	return nil
}
