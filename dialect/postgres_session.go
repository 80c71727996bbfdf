package dialect

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
)

// sessionLimits have the server give up a client that is gone or stopped, with the locks that it holds: others would wait
// for those. A stricter limit of the server's own stays.
const sessionLimits = `SELECT set_config(name, value, false), pg_backend_pid() FROM (VALUES
	('idle_in_transaction_session_timeout', '60000'),
	('tcp_keepalives_idle', '15'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3')) AS limits (name, value)
	WHERE name LIKE 'tcp%' OR current_setting(name) = '0'`

// noSessionLimits is for a transaction that has nobody wait, such as one that only reads for as long as somebody looks at
// what it writes.
const noSessionLimits = "SET LOCAL idle_in_transaction_session_timeout = 0"

// setUpSession is called for each new connection. Behind a pooler it would set up sessions that others get.
func setUpSession(ctx context.Context, conn *pgx.Conn, s Settings) error {
	conn.PgConn().CustomData()[connected] = time.Now()
	watchServer(conn, s)
	setRetirement(conn, s.ConnMaxLifetime)
	if s.TransactionPooler {
		return nil
	}
	results, err := conn.PgConn().Exec(ctx, sessionLimits).ReadAll()
	if err == nil && len(results) > 0 && len(results[0].Rows) > 0 {
		conn.PgConn().CustomData()[pooled] = string(results[0].Rows[0][1]) != strconv.Itoa(int(conn.PgConn().PID()))
	}
	return err
}

// pooled is where a connection keeps whether it leads to a pooler, which gives its own number instead of the server's.
const pooled = "guppy: pooled"

// errTransactionPooler is returned where a session is needed that a pooler in transaction mode does not give.
const errTransactionPooler = settingsError("a pooler in transaction mode stands between guppy and the server: set " +
	"repo.pooler to transaction, or GUPPY_REPO_POOLER=transaction")

// checkSession returns an error when the statements of a connection reach different sessions of the server. A pooler in
// transaction mode gives the session that one connection has just used to the next one that asks.
func checkSession(ctx context.Context, db *DB, conn *sqlx.Conn) error {
	suspect := false
	err := conn.Raw(func(driverConn any) error {
		if session, ok := driverConn.(*stdlib.Conn); ok {
			suspect, _ = session.Conn().PgConn().CustomData()[pooled].(bool)
		}
		return nil
	})
	if err != nil || !suspect {
		return err
	}
	ours, err := backend(ctx, conn)
	if err != nil {
		return err
	}
	other, err := db.Writer.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = other.Rollback() }() // it only asked
	theirs, err := backend(ctx, other)
	if err == nil && theirs == ours {
		err = errTransactionPooler
	}
	return err
}

// backend is the number of the server's process that answers.
func backend(ctx context.Context, q sqlx.QueryerContext) (pid int, err error) {
	err = sqlx.GetContext(ctx, q, &pid, "SELECT pg_backend_pid()")
	return pid, err
}
