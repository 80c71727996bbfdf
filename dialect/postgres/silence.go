package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guppy-prep/guppy/dialect"
)

// defaultSilence is how long a server may be silent before it is asked, over another connection, what it is doing.
const defaultSilence = 20 * time.Second

// watchedConn is a connection that is closed when its server has been silent for a while and is not working for it.
// Then an answer or a request got lost, or the server is gone without notice. A statement may take as long as it
// needs.
type watchedConn struct {
	net.Conn
	limit time.Duration
	// atWork asks the server. It is nil until the connection is set up. Setting up has a time limit of its own.
	atWork atomic.Pointer[func(ctx context.Context) bool]
	// moved is the time when bytes last went either way.
	moved atomic.Int64
}

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	defer c.watch()()
	n, err := c.Conn.Read(p)
	c.moved.Store(time.Now().UnixNano())
	return n, err
}

// Write implements net.Conn.
func (c *watchedConn) Write(p []byte) (int, error) {
	defer c.watch()()
	n, err := c.Conn.Write(p)
	c.moved.Store(time.Now().UnixNano())
	return n, err
}

// watch watches the server until the returned function is called.
func (c *watchedConn) watch() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var looking sync.WaitGroup
	looking.Add(1)
	timer := time.AfterFunc(c.limit, func() {
		defer looking.Done()
		c.look(ctx)
	})

	return func() {
		cancel()
		if timer.Stop() {
			looking.Done()
		}
		looking.Wait()
	}
}

func (c *watchedConn) look(ctx context.Context) {
	for ctx.Err() == nil {
		silent := time.Since(time.Unix(0, c.moved.Load())) >= c.limit
		if ask := c.atWork.Load(); silent && ask != nil && !(*ask)(ctx) && ctx.Err() == nil {
			_ = c.Close() // this ends waiting reads and writes
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(c.limit):
		}
	}
}

func watchSilence(dial pgconn.DialFunc, limit time.Duration) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watchedConn{Conn: conn, limit: limit}, nil
	}
}

// watchServer makes a connection that is set up ask its server.
func watchServer(conn *pgx.Conn, s dialect.Settings, pooled bool) {
	wire := conn.PgConn().Conn()
	if encrypted, ok := wire.(*tls.Conn); ok {
		wire = encrypted.NetConn()
	}
	watched, ok := wire.(*watchedConn)
	if !ok {
		return
	}

	address, session := watched.RemoteAddr(), conn.PgConn().PID()
	config := conn.Config()
	config.ValidateConnect, config.Tracer, config.AfterConnect = nil, nil, nil
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, address.Network(), address.String())
	}

	ask := func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, optionsOf(s).ConnectTimeout)
		defer cancel()
		return atWork(ctx, config, session, pooled)
	}
	watched.atWork.Store(&ask)
}

// sessionAtWork selects whether a session does something, instead of waiting for its client.
const sessionAtWork = `SELECT EXISTS (SELECT FROM pg_stat_activity
	WHERE pid = $1 AND COALESCE(wait_event, '') NOT IN ('ClientRead', 'ClientWrite'))`

// atWork reports whether the server is still working for a session. The sessions of a pooler are not those of the
// server: behind a pooler, atWork reports whether there is a server. A server without room for the question is
// there.
func atWork(ctx context.Context, config *pgx.ConnConfig, session uint32, pooled bool) (busy bool) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		var refused *pgconn.PgError
		return errors.As(err, &refused) && !strings.HasPrefix(refused.Code, "57P")
	}
	defer func() { _ = conn.Close(ctx) }()
	if pooled {
		err := conn.QueryRow(ctx, "SELECT true").Scan(&busy)
		return err == nil || pgconn.Timeout(err) // the pooler is there, but has no session left
	}
	return conn.QueryRow(ctx, sessionAtWork, int64(session)).Scan(&busy) == nil && busy
}
