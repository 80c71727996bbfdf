package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/guppy-prep/guppy/dialect"
)

// pin is a setting of the server that guppy depends on, whatever its value for a role or a database.
type pin struct {
	name, value string
	// ours is true if guppy's value replaces that of a URL.
	ours bool
}

// pins are the settings that change what guppy reads or whether its statements end. A transaction must see exactly
// what is committed when each of its statements begins. Otherwise it would act on an old view after waiting for a
// lock.
//
// The cost that the planner expects of a statement grows with the tables. Beyond some cost the server would compile it
// to machine code first (jit), which takes longer than it saves in look-ups and pages.
var pins = []pin{
	{"bytea_output", "hex", true},
	{"client_encoding", "UTF8", true},
	{"standard_conforming_strings", "on", true},
	{"default_transaction_isolation", "read committed", true},
	{"statement_timeout", "0", false},
	{"lock_timeout", "0", false},
	{"transaction_timeout", "0", false},
	{"idle_session_timeout", "0", false},
	{"jit", "off", false},
}

// limits have the server give up a client that is gone or stopped, with the locks that it holds: others would wait for
// those. A stricter limit of the server's own stays.
const (
	idleTimeout = "idle_in_transaction_session_timeout"
	idleLimit   = "60000"
)

// sessionPins returns the statements that a new session executes. The answer shows whether there is a pooler.
func sessionPins(config *pgx.ConnConfig) string {
	values := []string{
		pinValue(idleTimeout, idleLimit),
		pinValue("tcp_keepalives_idle", "15"), pinValue("tcp_keepalives_interval", "5"),
		pinValue("tcp_keepalives_count", "3"),
	}

	for _, p := range pins {
		if _, named := config.RuntimeParams[p.name]; !named || p.ours {
			values = append(values, pinValue(p.name, p.value))
		}
	}
	return "SELECT set_config(name, value, false), pg_backend_pid() FROM (VALUES " + strings.Join(values, ", ") +
		") AS pins (name, value) WHERE current_setting(name, true) IS NOT NULL AND (name <> '" + idleTimeout +
		"' OR current_setting(name, true) = '0')"
}

// transactionPins returns the statements that a transaction executes first if its session belongs to others before
// and after.
func transactionPins(more ...string) string {
	values := more
	for _, p := range pins {
		values = append(values, pinValue(p.name, p.value))
	}
	return "SELECT set_config(name, value, true) FROM (VALUES " + strings.Join(values, ", ") +
		") AS pins (name, value) WHERE current_setting(name, true) IS NOT NULL"
}

func pinValue(name, value string) string { return "('" + name + "', '" + value + "')" }

// Beginning begins a transaction, in one round trip with its first statement.
func (Engine) Beginning(s dialect.Settings) []dialect.Statement {
	if !optionsOf(s).TransactionPooler {
		return []dialect.Statement{{Text: "begin"}}
	}
	return []dialect.Statement{{Text: "begin isolation level read committed"}, {Text: transactionPins()}}
}

// pinSession is called for each new session. A pooler without a session for a client keeps it waiting: that wait has
// the same limit as the connection.
func pinSession(ctx context.Context, conn *pgx.Conn, s dialect.Settings) error {
	timeout := optionsOf(s).ConnectTimeout
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results, err := conn.PgConn().Exec(limited, sessionPins(conn.Config())).ReadAll()
	for isCancelled(err) && limited.Err() == nil { // on a busy server, an old timeout may end the statement that sets it
		results, err = conn.PgConn().Exec(limited, sessionPins(conn.Config())).ReadAll()
	}

	if err != nil && limited.Err() != nil && ctx.Err() == nil && conn.PgConn().PID() > mostProcesses {
		return dialect.NewAdvised(fmt.Errorf("%w within %s (repo.connect_timeout)", errPoolTooSmall, timeout),
			fmt.Sprintf("have the pooler allow more sessions (default_pool_size of PgBouncer): one process of guppy takes "+
				"up to %d (repo.max_open_conns, which is 3 or more)", s.MaxOpenConns))
	}
	if err == nil && len(results) > 0 && len(results[0].Rows) > 0 {
		conn.PgConn().CustomData()[pooled] = string(results[0].Rows[0][1]) != strconv.Itoa(int(conn.PgConn().PID()))
	}
	return err
}

func isCancelled(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Code == queryCanceled
}

// mostProcesses is the highest number of a server process. Poolers number their clients at random.
const mostProcesses = 1 << 22

// decodeAnyBytea makes the driver read bytes in either form that a server may send. A read outside of a transaction
// may get any session from the pooler.
func decodeAnyBytea(conn *pgx.Conn) {
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "bytea", OID: pgtype.ByteaOID, Codec: anyBytea{}})
}

// anyBytea decodes bytea_output = escape as well:
// https://www.postgresql.org/docs/current/datatype-binary.html#DATATYPE-BINARY-BYTEA-ESCAPE-FORMAT
type anyBytea struct{ pgtype.ByteaCodec }

// PlanScan implements pgtype.Codec.
func (c anyBytea) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	plan := c.ByteaCodec.PlanScan(m, oid, format, target)
	if _, isBytes := target.(*[]byte); isBytes && format == pgtype.TextFormatCode {
		return escapedBytes{plan}
	}
	return plan
}

type escapedBytes struct{ hex pgtype.ScanPlan }

// Scan implements pgtype.ScanPlan.
func (e escapedBytes) Scan(src []byte, target any) error {
	if src == nil || len(src) > 1 && src[0] == '\\' && src[1] == 'x' {
		return e.hex.Scan(src, target)
	}

	decoded := make([]byte, 0, len(src))
	for i := 0; i < len(src); i++ {
		switch {
		case src[i] != '\\':
			decoded = append(decoded, src[i])
		case i+1 < len(src) && src[i+1] == '\\':
			decoded = append(decoded, '\\')
			i++
		default:
			octal, err := strconv.ParseUint(string(src[i+1:min(i+4, len(src))]), 8, 8)
			if err != nil {
				return fmt.Errorf("bytes in neither of the forms that PostgreSQL sends: %w", err)
			}

			decoded = append(decoded, byte(octal))
			i += 3
		}
	}
	*target.(*[]byte) = decoded //nolint:forcetypeassert // PlanScan has looked
	return nil
}
