package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

// StartStandby starts a hot standby of the server, which it restarts to copy it. From then on the server acknowledges
// no commit that the standby has not received. The standby is removed when the test ends.
func (s *Server) StartStandby(tb testing.TB) *Server {
	tb.Helper()
	standby := Start(tb, func(options *cluster.Options) { options.Primary = s.cluster })
	s.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
	s.execute("SELECT pg_reload_conf()")
	return standby
}

// Promote makes a standby a server of its own, and returns once it can be written to.
func (s *Server) Promote() {
	s.tb.Helper()
	s.execute("SELECT pg_promote()")
}

func (s *Server) execute(statement string) {
	s.tb.Helper()
	s.ask(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}
