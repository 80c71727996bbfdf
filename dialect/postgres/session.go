package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// noSessionLimits is for a transaction that makes no other wait, such as one that only reads and lasts until its
// user has seen all of the output.
var noSessionLimits = transactionPins(pinValue(idleTimeout, "0"))

// setUpSession is called for each new connection. Behind a pooler it would set up sessions that other clients get.
func setUpSession(ctx context.Context, conn *pgx.Conn, s dialect.Settings) error {
	conn.PgConn().CustomData()[connected] = time.Now()
	setRetirement(conn, s.ConnMaxLifetime)
	between := optionsOf(s).TransactionPooler
	if between {
		decodeAnyBytea(conn)
	} else {
		if err := pinSession(ctx, conn, s); err != nil {
			return err
		}
		between, _ = conn.PgConn().CustomData()[pooled].(bool)
	}
	watchServer(conn, s, between)
	return nil
}

// pooled is the key under which a connection keeps whether it leads to a pooler. A pooler gives its own number
// instead of the server's.
const pooled = "guppy: pooled"

// errTransactionPooler is returned where a session is needed, which a pooler in transaction mode does not provide.
const errTransactionPooler = dialect.SettingsError("a pooler in transaction mode stands between guppy and the " +
	"server: set repo.pooler to transaction, or GUPPY_REPO_POOLER=transaction")

// checkSession returns an error if the statements of a connection reach different sessions of the server. A pooler
// in transaction mode gives the session of one connection to the next one that asks.
func checkSession(ctx context.Context, db *dialect.DB, conn *sqlx.Conn) error {
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

// backend returns the number of the server process that answers.
func backend(ctx context.Context, q sqlx.QueryerContext) (pid int, err error) {
	err = sqlx.GetContext(ctx, q, &pid, "SELECT pg_backend_pid()")
	return pid, err
}
