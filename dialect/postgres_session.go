package dialect

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// sessionLimits have the server give up a client that is gone or stopped, with the locks that it holds: others would wait
// for those. A stricter limit of the server's own stays.
const sessionLimits = `SELECT set_config(name, value, false) FROM (VALUES
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
	_, err := conn.PgConn().Exec(ctx, sessionLimits).ReadAll()
	return err
}
