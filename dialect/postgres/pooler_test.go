package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// changed returns settings with other options.
func changed(settings dialect.Settings, change func(*postgres.Options)) dialect.Settings {
	options := dialect.OptionsOf[postgres.Options](settings)
	change(&options)
	return dialect.WithOptions(settings, options)
}

// pooled returns the settings of a fresh database behind PgBouncer, and the URL that goes around it.
func pooled(t *testing.T) (settings dialect.Settings, direct string) {
	t.Helper()
	direct = pgtest.URL(t)
	through := pgtest.StartBouncer(t).URL(direct)
	return throughPooler(through), direct
}

func throughPooler(url string) dialect.Settings {
	settings := withOptions(postgres.Options{TransactionPooler: true})
	settings.URL = dialect.Secret(url)
	return settings
}

// TestStatementsThroughPooler has more connections than the pooler has to the server. Statements of one connection
// reach several server processes.
func TestStatementsThroughPooler(t *testing.T) {
	settings, _ := pooled(t)
	settings.MaxOpenConns = 8
	for _, mode := range []string{"", "simple_protocol", "exec", "cache_describe"} {
		t.Run("mode "+mode, func(t *testing.T) {
			settings = changed(settings, func(o *postgres.Options) { o.ExecMode = mode })
			db := dialecttest.Open(t, settings)
			dialecttest.Execute(t, db, "DROP TABLE IF EXISTS bulk",
				"CREATE TABLE bulk (n BIGINT PRIMARY KEY, data BYTEA, text TEXT)")
			if err := dialecttest.InsertBulk(t.Context(), db, dialecttest.BulkRows(1000)); err != nil {
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

// firstKey is the key of the first of bulkRows.
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

		err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
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
	settings = changed(settings, func(o *postgres.Options) { o.Schema = "apart" })
	requireSchemaError(t, settings, "guppy migrate up")
	mustMakeSchema(t, settings)
	requireSchemaError(t, settings, `ALTER ROLE ... SET search_path = "apart"`)

	admin := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(direct)})
	role := dialecttest.Get[string](t, admin, "SELECT quote_ident(current_user)")
	name := dialecttest.Get[string](t, admin, "SELECT quote_ident(current_database())")
	dialecttest.Execute(t, admin, "ALTER ROLE "+role+" IN DATABASE "+name+" SET search_path = apart")
	settings.URL = dialect.Secret(pgtest.StartBouncer(t).URL(direct))
	db := dialecttest.Open(t, settings)
	if got := dialecttest.Get[string](t, db, "SELECT current_schema()::text"); got != "apart" {
		t.Errorf("the schema is %s", got)
	}
}

func TestPoolerThatIsNotNamed(t *testing.T) {
	settings, _ := pooled(t)
	settings.Options = []any{postgres.Options{Schema: "apart"}}
	location, err := url.Parse(settings.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	location.User = url.UserPassword(location.User.Username(), dialecttest.Hidden)
	settings.URL = dialect.Secret(location.String())
	requireAdvice(t, settings, "set repo.pooler to transaction")
}

// TestAPoolerThatIsNotToldOfIsFoundOut: a pooler missing from the settings is detected before a lock is left with
// it.
func TestAPoolerThatIsNotToldOfIsFoundOut(t *testing.T) {
	settings, direct := pooled(t)
	settings.Options = []any{postgres.Options{ExecMode: "exec"}}
	db := dialecttest.Open(t, settings)
	if _, err := db.LockUse(t.Context()); !errors.Is(err, dialect.ErrSettings) ||
		!strings.Contains(err.Error(), "repo.pooler") {
		t.Errorf("got %v", err)
	}

	var locks int
	err := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(direct)}).Reader.GetContext(t.Context(), &locks,
		"SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'")
	if err != nil || locks != 0 {
		t.Errorf("%d locks are left, %v", locks, err)
	}
}

// TestAllIsLockedThroughAPooler: a process that has locked all can go on, and others can't begin transactions.
// Transactions of others that are under way fail, since they could not keep the lock. The others may begin again
// when it is free.
func TestAllIsLockedThroughAPooler(t *testing.T) {
	settings, direct := pooled(t)
	db, other := dialecttest.Open(t, settings), dialecttest.Open(t, settings)
	around := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(direct)})
	dialecttest.Execute(t, db, "CREATE TABLE t (n BIGINT)")
	insert := func(db *dialect.DB) error {
		return dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
			return err
		})
	}

	use := dialecttest.MustUse(t, other)
	if err := insert(other); err != nil {
		t.Fatal(err)
	}

	all := dialecttest.MustLock(t, db)
	if err := insert(db); err != nil {
		t.Errorf("whoever has all: %v", err)
	}
	if err := insert(other); !errors.Is(err, dialect.ErrLockLost) {
		t.Errorf("another process: %v", err)
	}

	if _, err := around.LockUse(t.Context()); !errors.Is(err, dialect.ErrLocked) {
		t.Errorf("a process that goes around the pooler: %v", err)
	}
	if _, err := other.LockAll(t.Context()); !errors.Is(err, dialect.ErrLocked) {
		t.Errorf("all, twice: %v", err)
	}
	dialecttest.Release(t, use)
	dialecttest.Release(t, all)

	byItself := dialecttest.MustUse(t, around)
	if _, err := db.LockAll(t.Context()); !errors.Is(err, dialect.ErrLocked) {
		t.Errorf("all beside a process that goes around the pooler: %v", err)
	}

	dialecttest.Release(t, byItself)
	again := dialecttest.MustUse(t, other)
	if err := insert(other); err != nil {
		t.Errorf("after the lock was released: %v", err)
	}
	dialecttest.Release(t, again)
}

// TestALockThroughAPoolerIsLost: the lock is lost with the server connection that holds it.
func TestALockThroughAPoolerIsLost(t *testing.T) {
	settings, direct := pooled(t)
	db := dialecttest.Open(t, settings)
	dialecttest.Execute(t, db, "CREATE TABLE t (n BIGINT)")
	all := dialecttest.MustLock(t, db)
	ctx := all.Watch(t.Context())

	around := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(direct)})
	dialecttest.Execute(t, around, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
	// The session has the lock until it has ended.
	for dialecttest.Get[int](t, around, "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'") > 0 {
		time.Sleep(10 * time.Millisecond)
	}

	err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
		_, err := tx.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
		return err
	})

	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, dialect.ErrLockLost) {
		t.Errorf("the work ended for %v", cause)
	}
	if rows := dialecttest.Get[int](t, around, "SELECT COUNT(*) FROM t"); err == nil || rows != 0 {
		t.Errorf("%v, and %d rows were committed", err, rows)
	}
	_ = all.Release() // the connection is gone
}
