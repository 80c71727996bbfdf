package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/chaos"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// silence is the limit under test.
const silence = 300 * time.Millisecond

func openThrough(t *testing.T, proxy *chaos.Proxy) *dialect.DB {
	t.Helper()
	return dialecttest.Open(t, dialect.Settings{
		URL:     dialect.Secret(proxy.URL()),
		Options: []any{postgres.Options{SilenceLimit: silence, ConnectTimeout: time.Second}},
	})
}

func TestALongStatementIsLeftAlone(t *testing.T) {
	db := openThrough(t, chaos.StartProxy(t, pgtest.URL(t)))
	dialecttest.Execute(t, db, "SELECT pg_sleep(1.5)")
	other := openThrough(t, chaos.StartProxy(t, pgtest.URL(t)))
	dialecttest.Execute(t, other, "CREATE TABLE a (n BIGINT)", "INSERT INTO a VALUES (1)")

	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Release() }()
	if _, err := tx.ExecContext(t.Context(), "UPDATE a SET n = 2"); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(4*silence, func() { _ = tx.Commit(t.Context()) })
	dialecttest.Execute(t, other, "UPDATE a SET n = 3") // it waits for the transaction
}

// TestALostAnswerIsNoticed swallows the requests and answers of one connection, while others get through later.
func TestALostAnswerIsNoticed(t *testing.T) {
	for name, statement := range map[string]string{
		"the request is lost": "SELECT 1",
		"the answer is lost":  "SELECT pg_sleep(0.2)",
	} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.URL(t)
			proxy, direct := chaos.StartProxy(t, url), dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(url)})
			db := openThrough(t, proxy)
			lost := make(chan error, 1)

			begun := time.Now()
			ask := func() {
				_, err := db.Writer.ExecContext(t.Context(), statement)
				lost <- err
			}
			if name == "the answer is lost" {
				go ask()
				waitFor(t, direct, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
			}

			end := proxy.Begin(chaos.BlackHole)
			if name == "the request is lost" {
				go ask()
			}
			err := <-lost
			dialecttest.RequireClass(t, db, err, dialect.Unavailable)
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}

			end()
			if n := dialecttest.Get[int](t, db, "SELECT 1"); n != 1 {
				t.Error("the pool is of no use any more")
			}
		})
	}
}

func waitFor(t *testing.T, db *dialect.DB, query string) {
	t.Helper()
	for !dialecttest.Get[bool](t, db, query) {
		time.Sleep(10 * time.Millisecond)
	}
}

// TestAListenerOutlivesSilence: a silent listener keeps its connection.
func TestAListenerOutlivesSilence(t *testing.T) {
	url := pgtest.URL(t)
	direct := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(url)})
	db := openThrough(t, chaos.StartProxy(t, url))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- db.Listen(ctx, func() {}) }()

	const listening = "SELECT COALESCE(MAX(pid), 0) FROM pg_stat_activity " +
		"WHERE query = 'LISTEN guppy' OR query = '-- ping'"
	waitFor(t, direct, "SELECT ("+listening+") > 0")
	pid := dialecttest.Get[int](t, direct, listening)
	time.Sleep(5 * silence)
	if again := dialecttest.Get[int](t, direct, listening); again != pid {
		t.Errorf("session %d listens in place of %d", again, pid)
	}

	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("listening ended with %v", err)
	}
}

// TestAStoppedClientIsGivenUp: the server frees the locks of a stopped client, unless it may idle.
func TestAStoppedClientIsGivenUp(t *testing.T) {
	db := dialecttest.OpenPostgres(t)
	limit := dialecttest.Get[string](t, db, "SHOW idle_in_transaction_session_timeout")
	if limit != "1min" {
		t.Errorf("a transaction may idle for %s", limit)
	}

	for _, unhurried := range []bool{false, true} {
		err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
			statements := []string{"SET LOCAL idle_in_transaction_session_timeout = 50", db.Unhurried}
			if !unhurried {
				statements = statements[:1]
			}

			for _, statement := range statements {
				if _, err := tx.ExecContext(t.Context(), statement); err != nil {
					return err
				}
			}
			time.Sleep(200 * time.Millisecond)
			_, err := tx.ExecContext(t.Context(), "SELECT 1")
			return err
		})

		if unhurried && err != nil {
			t.Errorf("it was given up: %v", err)
		}
		if !unhurried {
			dialecttest.RequireClass(t, db, err, dialect.Unavailable)
		}
	}
}

func TestAServersOwnLimitStays(t *testing.T) {
	db := dialecttest.OpenPostgres(t)
	name := dialecttest.Get[string](t, db, "SELECT current_database()")
	dialecttest.Execute(t, db, "ALTER ROLE CURRENT_USER IN DATABASE "+name+
		" SET idle_in_transaction_session_timeout = '5s'")
	again := dialecttest.Open(t, db.Settings)
	if limit := dialecttest.Get[string](t, again, "SHOW idle_in_transaction_session_timeout"); limit != "5s" {
		t.Errorf("a transaction may idle for %s", limit)
	}
}
