package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/guppy-prep/guppy/dialect"
)

// channel is the channel on which processes notify each other of changes.
const channel = "guppy"

const listenPause = 5 * time.Second

// Notify implements dialect.Notifier.
func (Engine) Notify(ctx context.Context, db *dialect.DB) error {
	if optionsOf(db.Settings).TransactionPooler {
		return ctx.Err()
	}
	_, err := db.Writer.ExecContext(ctx, "SELECT pg_notify($1, current_schema() || ' ' || $2)",
		channel, db.Instance)
	return err
}

// Listen listens on a connection of its own, and on a new one if that breaks. Behind a pooler there are no
// notifications, and Listen returns at once.
func (Engine) Listen(ctx context.Context, db *dialect.DB, wake func()) error {
	if optionsOf(db.Settings).TransactionPooler {
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

func listen(ctx context.Context, db *dialect.DB, wake func()) error {
	conn, err := db.Writer.Connx(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = dialect.Drop(conn) }() // after an interrupted wait it is of no use to others

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
			heard, err := waitForNotification(ctx, session.Conn(), optionsOf(db.Settings).SilenceLimit)
			if err != nil {
				return err
			}

			if heard == nil {
				continue
			}
			if from, sent := strings.CutPrefix(heard.Payload, schema+" "); sent && from != db.Instance {
				wake()
			}
		}
	})
}

// waitForNotification returns nil if no notification came for a while and the connection is there, which silence
// alone does not prove.
func waitForNotification(ctx context.Context, conn *pgx.Conn, silence time.Duration) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, silence/2)
	defer cancel()
	heard, err := conn.WaitForNotification(waiting)
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		return nil, conn.Ping(ctx)
	}
	return heard, err
}
