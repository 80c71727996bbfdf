package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

var errNoSchema = errors.New("there is no schema")

// schemaState describes the schema that the settings name, as a session sees it.
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

// CheckSchema makes sure that tables are made and found in the schema. A pooler may not have passed the search path
// on.
func (Engine) CheckSchema(ctx context.Context, session sqlx.QueryerContext, s dialect.Settings) error {
	schema := optionsOf(s).Schema
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
		return fmt.Errorf("%w: %w %q (repo.schema): to make it, run: guppy migrate up", dialect.ErrSchema, errNoSchema,
			schema)
	case !state.Usable:
		return fmt.Errorf("%w: the role may not use schema %q (repo.schema): GRANT USAGE, CREATE ON SCHEMA %s TO it",
			dialect.ErrSchema, schema, quoteIdentifier(schema))
	}

	return fmt.Errorf("%w: sessions use schema %q instead of %q (repo.schema), as they do behind a pooler: "+
		"on the server, ALTER ROLE ... SET search_path = %s, then let the pooler reconnect",
		dialect.ErrSchema, state.Current, schema, quoteIdentifier(schema))
}

// MissingSchema looks for the schema first: a role that can't make schemas may use an existing one.
func (Engine) MissingSchema(ctx context.Context, db *dialect.DB) (statement string, err error) {
	schema := optionsOf(db.Settings).Schema
	if schema == "" {
		return "", nil
	}
	state, err := readSchemaState(ctx, db.Writer, schema)
	if err != nil || state.Exists {
		return "", err
	}
	return "CREATE SCHEMA IF NOT EXISTS " + quoteIdentifier(schema), nil
}
