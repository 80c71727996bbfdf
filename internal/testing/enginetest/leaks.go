package enginetest

import (
	"testing"

	"go.uber.org/goleak"
)

// pooled are goroutines that a pool of connections keeps for as long as it is open: the one that opens connections,
// and one that reads from a connection after a write was slow.
var pooled = []goleak.Option{
	goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
	goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgconn/internal/bgreader.(*BGReader).bgRead"),
}

// LeavesNothing returns a function that fails the test if goroutines run that did not run when LeavesNothing was
// called. The goroutines of a database that stays open don't count.
func LeavesNothing(tb testing.TB) (verify func()) {
	options := append([]goleak.Option{goleak.IgnoreCurrent()}, pooled...)
	return func() {
		tb.Helper()
		goleak.VerifyNone(tb, options...)
	}
}
