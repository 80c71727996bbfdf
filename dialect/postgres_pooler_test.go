package dialect_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// pooled returns the settings of a fresh database behind PgBouncer, and the URL that goes around it.
func pooled(t *testing.T) (settings dialect.Settings, direct string) {
	t.Helper()
	direct = pgtest.URL(t)
	through := pgtest.StartBouncer(t).URL(direct)
	return dialect.Settings{URL: dialect.Secret(through), TransactionPooler: true}, direct
}

// TestStatementsThroughPooler has more connections than the pooler has to the server, so that statements of one reach
// several servers.
func TestStatementsThroughPooler(t *testing.T) {
	settings, _ := pooled(t)
	settings.MaxOpenConns = 8
	for _, mode := range []string{"", "simple_protocol", "exec", "cache_describe"} {
		t.Run("mode "+mode, func(t *testing.T) {
			settings.Server.ExecMode = mode
			db := open(t, settings)
			execute(t, db, "DROP TABLE IF EXISTS bulk", "CREATE TABLE bulk (n BIGINT PRIMARY KEY, data BYTEA, text TEXT)")
			if err := insertBulk(t.Context(), db, bulkRows(1000)); err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			for worker := range 8 {
				group.Go(func() {
					if err := mix(t, db, worker); err != nil {
						t.Errorf("worker %d: %v", worker, err)
					}
				})
			}
			group.Wait()
		})
	}
}

// firstKey is that of the first of bulkRows.
const firstKey = -2 << 40

// mix reads and writes, inside of transactions and outside.
func mix(t *testing.T, db *dialect.DB, worker int) error {
	for i := range 20 {
		var n int
		if err := db.Reader.GetContext(t.Context(), &n, "SELECT COUNT(*) FROM bulk WHERE n = ANY ($1)",
			[]int64{firstKey, firstKey + 1, firstKey + 2 + int64(i)}); err != nil {
			return err
		}
		if n != 3 {
			return fmt.Errorf("%d rows", n)
		}
		err := inTx(t.Context(), db, func(tx *dialect.Tx) error {
			const update = "UPDATE bulk SET text = $1, data = $2 WHERE n = $3"
			_, err := tx.ExecContext(t.Context(), update, "changed", []byte{0, 1}, firstKey+worker)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestSchemaBehindPooler(t *testing.T) {
	settings, direct := pooled(t)
	settings.Server.Schema = "apart"
	requireSchemaError(t, settings, "guppy migrate up")
	mustMakeSchema(t, settings)
	requireSchemaError(t, settings, `ALTER ROLE ... SET search_path = "apart"`)

	admin := open(t, dialect.Settings{URL: dialect.Secret(direct)})
	role := get[string](t, admin, "SELECT quote_ident(current_user)")
	name := get[string](t, admin, "SELECT quote_ident(current_database())")
	execute(t, admin, "ALTER ROLE "+role+" IN DATABASE "+name+" SET search_path = apart")
	settings.URL = dialect.Secret(pgtest.StartBouncer(t).URL(direct))
	db := open(t, settings)
	if got := get[string](t, db, "SELECT current_schema()::text"); got != "apart" {
		t.Errorf("the schema is %s", got)
	}
}

func TestPoolerThatIsNotNamed(t *testing.T) {
	settings, _ := pooled(t)
	settings.TransactionPooler, settings.Server.Schema = false, "apart"
	location, err := url.Parse(settings.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	location.User = url.UserPassword(location.User.Username(), hidden)
	settings.URL = dialect.Secret(location.String())
	requireAdvice(t, settings, "set repo.pooler to transaction")
}

// TestAPoolerThatIsNotToldOfIsFoundOut before a lock is left with it.
func TestAPoolerThatIsNotToldOfIsFoundOut(t *testing.T) {
	settings, direct := pooled(t)
	settings.TransactionPooler = false
	settings.Server.ExecMode = "exec"
	db := open(t, settings)
	if _, err := db.LockUse(t.Context(), db); !errors.Is(err, dialect.ErrSettings) ||
		!strings.Contains(err.Error(), "repo.pooler") {
		t.Errorf("got %v", err)
	}
	var locks int
	err := open(t, dialect.Settings{URL: dialect.Secret(direct)}).Reader.GetContext(t.Context(), &locks,
		"SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'")
	if err != nil || locks != 0 {
		t.Errorf("%d locks are left, %v", locks, err)
	}
}

// TestAllIsLockedThroughAPooler: whoever has all keeps transactions of others from being begun, and its own go on. What
// others have at work ends, since they could not keep the lock, and they may begin again when it is free.
func TestAllIsLockedThroughAPooler(t *testing.T) {
	settings, direct := pooled(t)
	db, other := open(t, settings), open(t, settings)
	around := open(t, dialect.Settings{URL: dialect.Secret(direct)})
	execute(t, db, "CREATE TABLE t (n BIGINT)")
	insert := func(db *dialect.DB) error {
		return inTx(t.Context(), db, func(tx *dialect.Tx) error {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
			return err
		})
	}

	use := mustUse(t, other)
	if err := insert(other); err != nil {
		t.Fatal(err)
	}
	all := mustLock(t, db)
	if err := insert(db); err != nil {
		t.Errorf("whoever has all: %v", err)
	}
	if err := insert(other); !errors.Is(err, dialect.ErrLockLost) {
		t.Errorf("another process: %v", err)
	}
	if _, err := around.LockUse(t.Context(), around); !errors.Is(err, dialect.ErrLocked) {
		t.Errorf("a process that goes around the pooler: %v", err)
	}
	if _, err := other.LockAll(t.Context(), other); !errors.Is(err, dialect.ErrLocked) {
		t.Errorf("all, twice: %v", err)
	}
	release(t, use)
	release(t, all)

	byItself := mustUse(t, around)
	if _, err := db.LockAll(t.Context(), db); !errors.Is(err, dialect.ErrLocked) {
		t.Errorf("all beside a process that goes around the pooler: %v", err)
	}
	release(t, byItself)
	again := mustUse(t, other)
	if err := insert(other); err != nil {
		t.Errorf("after the lock was released: %v", err)
	}
	release(t, again)
}

// TestALockThroughAPoolerIsLost with the connection of the server that has it.
func TestALockThroughAPoolerIsLost(t *testing.T) {
	settings, direct := pooled(t)
	db := open(t, settings)
	execute(t, db, "CREATE TABLE t (n BIGINT)")
	all := mustLock(t, db)
	ctx := all.Watch(t.Context())
	around := open(t, dialect.Settings{URL: dialect.Secret(direct)})
	execute(t, around, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
	err := inTx(t.Context(), db, func(tx *dialect.Tx) error {
		_, err := tx.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
		return err
	})
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, dialect.ErrLockLost) {
		t.Errorf("the work ended for %v", cause)
	}
	if rows := get[int](t, around, "SELECT COUNT(*) FROM t"); err == nil || rows != 0 {
		t.Errorf("%v, and %d rows were committed", err, rows)
	}
	_ = all.Release() // the connection is gone
}
