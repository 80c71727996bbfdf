package postgres

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// driverName is the name that sqlx knows: with "pgx/v5", it would leave placeholders as they are.
const driverName = "pgx"

// unchecked is how long after its last use a connection is taken again without a check, which costs a round trip.
const unchecked = time.Second

// Connect implements dialect.Connector.
func (e Engine) Connect(ctx context.Context, s dialect.Settings) (pools dialect.Pools, err error) {
	pool, err := openPool(ctx, s)
	if err != nil {
		return pools, err
	}
	if err := e.CheckSchema(ctx, pool, s); err != nil && (!s.SchemaMayLack || !errors.Is(err, errNoSchema)) {
		return pools, errors.Join(err, pool.Close())
	}
	return dialect.Pools{Writer: pool, Reader: pool}, nil
}

// IsPooled implements dialect.PoolerNamer.
func (Engine) IsPooled(s dialect.Settings) bool { return optionsOf(s).TransactionPooler }

func openPool(ctx context.Context, s dialect.Settings) (*sqlx.DB, error) {
	config, err := newConfig(s)
	if err != nil {
		return nil, err
	}

	var plain atomic.Bool
	pool := sqlx.NewDb(stdlib.OpenDB(*config,
		stdlib.OptionBeforeConnect(func(_ context.Context, config *pgx.ConnConfig) error {
			if plain.Load() {
				plainFirst(config)
			}
			return nil
		}),
		stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			plain.Store(!isEncrypted(conn))
			return setUpSession(ctx, conn, s)
		}),
		stdlib.OptionResetSession(refuseRetired),
		stdlib.OptionShouldPing(func(_ context.Context, last stdlib.ShouldPingParams) bool {
			return last.IdleDuration > unchecked && !isNew(last.Conn)
		}),
	), driverName)

	pool.SetMaxOpenConns(s.MaxOpenConns)
	pool.SetMaxIdleConns(s.MaxIdleConns)
	pool.SetConnMaxLifetime(s.ConnMaxLifetime)
	pool.SetConnMaxIdleTime(s.ConnMaxIdleTime)

	conn, err := pool.Connx(ctx)
	if err != nil {
		return nil, errors.Join(withAdvice(err, config), pool.Close())
	}
	return pool, errors.Join(warnOfOldServer(conn, s.Log), conn.Close())
}

func isEncrypted(conn *pgx.Conn) bool {
	_, encrypted := conn.PgConn().Conn().(interface{ ConnectionState() tls.ConnectionState })
	return encrypted
}

// plainFirst puts the ways to connect without TLS before those with TLS, where the settings allow both. A server
// without TLS needs two round trips to refuse it.
func plainFirst(config *pgx.ConnConfig) {
	ways := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}},
		config.Fallbacks...)
	slices.SortStableFunc(ways, func(a, b *pgconn.FallbackConfig) int { return secured(a) - secured(b) })
	config.Host, config.Port, config.TLSConfig = ways[0].Host, ways[0].Port, ways[0].TLSConfig
	config.Fallbacks = ways[1:]
}

func secured(way *pgconn.FallbackConfig) int {
	if way.TLSConfig == nil {
		return 0
	}
	return 1
}

// connected is the key under which a connection keeps the time when it was made. The driver takes a connection for
// idle that was not taken twice yet.
const connected = "guppy: connected"

func isNew(conn *pgx.Conn) bool {
	at, ok := conn.PgConn().CustomData()[connected].(time.Time)
	return ok && time.Since(at) < unchecked
}

// retirement is the key under which a connection keeps the time from which it is not taken again.
const retirement = "guppy: retirement"

// setRetirement spreads the ends of connections over the last tenth of their lifetime. The pool itself has one
// lifetime for all connections, and would open all of them again at once.
func setRetirement(conn *pgx.Conn, lifetime time.Duration) {
	if lifetime > 0 {
		conn.PgConn().CustomData()[retirement] = time.Now().Add(jittered(lifetime))
	}
}

func jittered(lifetime time.Duration) time.Duration { return lifetime - rand.N(lifetime/10+1) }

func refuseRetired(_ context.Context, conn *pgx.Conn) error {
	if at, ok := conn.PgConn().CustomData()[retirement].(time.Time); ok && time.Now().After(at) {
		return driver.ErrBadConn
	}
	return nil
}
