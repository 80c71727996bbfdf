package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guppy-prep/guppy/dialect"
)

// SQLSTATEs that need an explanation: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	queryCanceled         = "57014"
	readOnlyTransaction   = "25006"
	insufficientPrivilege = "42501"
	noSchemaSelected      = "3F000"
	diskFull              = "53100"
	tooManyConnections    = "53300"
	idleInTransaction     = "25P03"
	serializationFailure  = "40001"
)

// errPoolTooSmall is returned when a pooler did not provide a session.
var errPoolTooSmall = errors.New("the pooler before the server gave no session")

// Explain implements dialect.Explainer.
func (Engine) Explain(s dialect.Settings, err error, schema bool) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err
	}
	role, database := "the role", "the database"
	if config, parseErr := parse(s); parseErr == nil {
		role, database = quoteIdentifier(config.User), quoteIdentifier(config.Database)
	}

	what, advice := "", ""
	switch server.Code {
	case queryCanceled:
		what, advice = "statement_timeout, or an operator, ended a statement of guppy's", timeoutAdvice(s, role)
	case readOnlyTransaction:
		what = "the server takes no changes: default_transaction_read_only is on, or it is a standby"
		advice = "ALTER ROLE " + role + " SET default_transaction_read_only = off, or connect to the primary"
	case diskFull:
		what = "the disk of the server's host is full, not one of this host"
		advice = "make room for the server's data directory and tablespaces; the server's log names the file"
	case tooManyConnections:
		what = "the server has no connection left"
		advice = fmt.Sprintf("lower repo.max_open_conns (%d), or raise max_connections on the server", s.MaxOpenConns)
	case idleInTransaction:
		what = idleTimeout + " of the role, the database or the server ended a session of guppy's"
		advice = "ALTER ROLE " + role + " SET " + idleTimeout + " = '1min': a shard has its name within a transaction"
	case serializationFailure:
		if !s.Reading {
			return err
		}
		what = "the standby ended what guppy read, which was in the way of changes from the primary"
		advice = "set hot_standby_feedback = on, or a larger max_standby_streaming_delay, on the standby; or leave out " +
			"repo.read_url"
	case insufficientPrivilege, noSchemaSelected:
		what, advice = rightsAdvice(s, schema, role, database)
	default:
		return err
	}

	return dialect.NewAdvised(fmt.Errorf("%s: %w", what, err), advice)
}

func timeoutAdvice(s dialect.Settings, role string) string {
	if optionsOf(s).TransactionPooler {
		return "guppy can't set statement_timeout outside of transactions behind a pooler: ALTER ROLE " + role +
			" SET statement_timeout = 0, then have the pooler connect again"
	}
	if value, named := dialect.URLParameter(s.URL, "statement_timeout"); named && value != "0" {
		return "the database URL has statement_timeout=" + value + ": remove it"
	}
	return "guppy sets statement_timeout to 0 for its sessions: look for who cancels its statements (pg_cancel_backend)"
}

func rightsAdvice(s dialect.Settings, change bool, role, database string) (what, advice string) {
	named := optionsOf(s).Schema
	schema := named
	if schema == "" {
		schema = "public"
	}

	quoted := quoteIdentifier(schema)
	if !change {
		return fmt.Sprintf("role %s may not use the tables in schema %s", role, quoted),
			fmt.Sprintf("as their owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s", quoted, role)
	}

	advice = fmt.Sprintf("as the owner of the database: GRANT CREATE ON SCHEMA %s TO %s; or, for a schema of guppy's "+
		"own: CREATE SCHEMA guppy AUTHORIZATION %s, and set repo.schema to guppy", quoted, role, role)
	if named != "" {
		advice = fmt.Sprintf("as the owner of the database: CREATE SCHEMA IF NOT EXISTS %s; "+
			"GRANT USAGE, CREATE ON SCHEMA %s TO %s; or GRANT CREATE ON DATABASE %s TO %s",
			quoted, quoted, role, database, role)
	}
	return fmt.Sprintf("role %s may not make tables in schema %s", role, quoted), strings.TrimSpace(advice)
}
