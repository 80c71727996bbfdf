package dialect

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// ErrSchema is returned for a schema that is not there or can't be used; the error's text says what to do.
var ErrSchema = errors.New("database schema")

var errNoSchema = errors.New("there is no schema")

// schemaState is what a session makes of the schema that the settings name.
type schemaState struct {
	Current string `db:"current"`
	Exists  bool   `db:"there"`
	Usable  bool   `db:"usable"`
}

func readSchemaState(ctx context.Context, session sqlx.QueryerContext, schema string) (state schemaState, err error) {
	err = sqlx.GetContext(ctx, session, &state, `SELECT COALESCE(current_schema(), '')::text AS current,
		COUNT(*) > 0 AS there, COALESCE(BOOL_OR(has_schema_privilege(oid, 'USAGE')), FALSE) AS usable
		FROM pg_namespace WHERE nspname = $1`, schema)
	return state, err
}

// checkSchema makes sure that tables are made and found in the schema. A pooler may have kept the search path back.
func checkSchema(ctx context.Context, session sqlx.QueryerContext, s Settings) error {
	schema := s.Server.Schema
	if schema == "" {
		return nil
	}
	state, err := readSchemaState(ctx, session, schema)
	switch {
	case err != nil:
		return err
	case state.Current == schema:
		return nil
	case !state.Exists:
		return fmt.Errorf("%w: %w %q (repo.schema): to make it, run: guppy migrate up", ErrSchema, errNoSchema, schema)
	case !state.Usable:
		return fmt.Errorf("%w: the role may not use schema %q (repo.schema): GRANT USAGE, CREATE ON SCHEMA %s TO it",
			ErrSchema, schema, quoteIdentifier(schema))
	}
	return fmt.Errorf("%w: sessions use schema %q instead of %q (repo.schema), as they do behind a pooler: "+
		"on the server, ALTER ROLE ... SET search_path = %s, then have the pooler connect anew",
		ErrSchema, state.Current, schema, quoteIdentifier(schema))
}

// postgresMissingSchema looks first: a role that can't make schemas may use one that is there.
func postgresMissingSchema(ctx context.Context, db *DB) (statement string, err error) {
	schema := db.Settings.Server.Schema
	if schema == "" {
		return "", nil
	}
	state, err := readSchemaState(ctx, db.Writer, schema)
	if err != nil || state.Exists {
		return "", err
	}
	return "CREATE SCHEMA IF NOT EXISTS " + quoteIdentifier(schema), nil
}
