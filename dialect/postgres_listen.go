package dialect

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
)

// channel is where processes tell each other that there is something new.
const channel = "guppy"

const listenPause = 5 * time.Second

func postgresNotify(ctx context.Context, db *DB) error {
	if db.Settings.TransactionPooler {
		return ctx.Err()
	}
	_, err := db.Writer.ExecContext(ctx, "SELECT pg_notify($1, current_schema() || ' ' || $2)",
		channel, db.instance)
	return err
}

// postgresListen listens on a connection of its own, and on another one when that breaks. Behind a pooler it hears
// nothing, and does not try.
func postgresListen(ctx context.Context, db *DB, wake func()) error {
	if db.Settings.TransactionPooler {
		return ctx.Err()
	}
	for ctx.Err() == nil {
		if err := listen(ctx, db, wake); err != nil && ctx.Err() == nil {
			db.Log.Debug("listening broke off", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenPause):
		}
	}
	return ctx.Err()
}

func listen(ctx context.Context, db *DB, wake func()) error {
	conn, err := db.Writer.Connx(ctx)
	if err != nil {
		return err
	}
	defer closeListening(conn)
	var schema string
	if err := conn.GetContext(ctx, &schema, "SELECT current_schema()"); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	return conn.Raw(func(driverConn any) error {
		session, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("LISTEN needs a pgx connection, not a %T", driverConn)
		}
		for {
			heard, err := waitForNotification(ctx, session.Conn(), db.Settings.SilenceLimit)
			if err != nil {
				return err
			}
			if heard == nil {
				continue
			}
			if from, sent := strings.CutPrefix(heard.Payload, schema+" "); sent && from != db.instance {
				wake()
			}
		}
	})
}

// waitForNotification returns nil when none came for a while and the connection is there: silence alone doesn't tell.
func waitForNotification(ctx context.Context, conn *pgx.Conn, silence time.Duration) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, silence/2)
	defer cancel()
	heard, err := conn.WaitForNotification(waiting)
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		return nil, conn.Ping(ctx)
	}
	return heard, err
}

// closeListening drops the connection: a wait that was broken off leaves it in no state for others.
func closeListening(conn *sqlx.Conn) {
	discard(conn)
	_ = closeConn(conn)
}
