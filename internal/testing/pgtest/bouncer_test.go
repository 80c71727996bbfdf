package pgtest_test

import (
	"database/sql"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestBouncerSharesConnections(t *testing.T) {
	direct := pgtest.URL(t)
	pooled := open(t, pgtest.StartBouncer(t).URL(direct)+"&default_query_exec_mode=exec")

	pids := map[int]bool{}
	for range 10 {
		conn, err := pooled.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		pids[backend(t, conn)] = true
	}

	if len(pids) > 3 {
		t.Errorf("10 clients have %d connections to the server", len(pids))
	}
}

func backend(t *testing.T, conn *sql.Conn) (pid int) {
	t.Helper()
	if err := conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}
