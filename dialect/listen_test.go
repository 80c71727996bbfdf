package dialect_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// listener is a goroutine that listens to a database until it is stopped, and another handle on the same database.
type listener struct {
	t         *testing.T
	db, other *dialect.DB
	woken     chan struct{}
	stop      context.CancelFunc
	ended     chan error
}

// listen starts a listener, and waits until notifications of others reach it.
func listen(t *testing.T, settings dialect.Settings) *listener {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &listener{t, dialecttest.Open(t, settings), dialecttest.Open(t, settings), make(chan struct{}, 1000), stop,
		make(chan error, 1)}
	dialecttest.Execute(t, l.other, "CREATE TABLE told (n BIGINT NOT NULL)")
	go func() { l.ended <- l.db.Listen(ctx, func() { l.woken <- struct{}{} }) }()
	t.Cleanup(l.end)
	l.hears()
	return l
}

// end stops listening, and fails the test if the listener does not end.
func (l *listener) end() {
	l.stop()
	select {
	case err := <-l.ended:
		l.ended <- err
		if !errors.Is(err, context.Canceled) {
			l.t.Errorf("listening ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		l.t.Error("listening did not end with its context")
	}
}

// tell commits a change, and notifies others where commits do not.
func (l *listener) tell(db *dialect.DB) {
	l.t.Helper()
	dialecttest.Execute(l.t, db, "INSERT INTO told VALUES (1)")
	ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
	defer cancel()
	if err := db.Notify(ctx); err != nil {
		l.t.Fatal(err)
	}
}

// hears waits until the other handle has woken the listener, and all of its notifications have come.
func (l *listener) hears() {
	l.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		l.tell(l.other)
		select {
		case <-l.woken:
			l.quiet()
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	l.t.Fatal("nothing was heard")
}

// quiet waits until no more notifications come, and returns how many came.
func (l *listener) quiet() (heard int) {
	for {
		select {
		case <-l.woken:
			heard++
		case <-time.After(300 * time.Millisecond):
			return heard
		}
	}
}

func postgresSettings(t *testing.T) dialect.Settings {
	t.Helper()
	return dialect.Settings{URL: dialect.Secret(pgtest.URL(t))}
}

func TestListenWakes(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		l := listen(t, settings)
		for range 3 {
			l.tell(l.other)
			if heard := l.quiet(); heard == 0 {
				t.Error("nothing was heard")
			}
		}
		if heard := l.quiet(); heard != 0 {
			t.Errorf("woken %d times by nobody", heard)
		}
	})
}

func TestListenEndsWithItsContext(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		verify := enginetest.LeavesNothing(t)
		l := listen(t, settings)
		l.end()
		if used := l.db.Writer.Stats().InUse + l.db.Reader.Stats().InUse; used != 0 {
			t.Errorf("%d connections are still in use", used)
		}
		verify()
	})
}

// listeningSessions selects the sessions of the server that listen to this database.
const listeningSessions = " FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"

func TestPostgresForgetsWhoListened(t *testing.T) {
	l := listen(t, postgresSettings(t))
	if n := dialecttest.Get[int](t, l.other, "SELECT COUNT(*)"+listeningSessions); n != 1 {
		t.Errorf("%d sessions listen", n)
	}

	l.end()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if dialecttest.Get[int](t, l.other, "SELECT COUNT(*)"+listeningSessions) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a session still listens")
		}
	}
}

func TestPostgresListensAgainWhenItsConnectionBreaks(t *testing.T) {
	l := listen(t, postgresSettings(t))
	dialecttest.Execute(t, l.other, "SELECT pg_terminate_backend(pid)"+listeningSessions)
	l.quiet()
	l.hears()
}

func TestPostgresHearsOnlyOthersInItsSchema(t *testing.T) {
	l, elsewhere := listen(t, postgresSettings(t)), dialecttest.OpenPostgres(t)
	dialecttest.Execute(t, l.other, "SELECT pg_notify('guppy', 'another_schema x')", "SELECT pg_notify('guppy', '')",
		"SELECT pg_notify('another', current_schema() || ' x')")
	if err := elsewhere.Notify(t.Context()); err != nil {
		t.Fatal(err)
	}

	l.tell(l.db)
	if heard := l.quiet(); heard != 0 {
		t.Errorf("woken %d times", heard)
	}

	for range 3 {
		l.tell(l.other)
	}
	if heard := l.quiet(); heard != 3 {
		t.Errorf("woken %d times by 3 notifications", heard)
	}
}

func TestPoolerHasNothingToHear(t *testing.T) {
	settings := postgresSettings(t)
	settings.Options = []any{postgres.Options{TransactionPooler: true}}
	db := dialecttest.Open(t, settings)
	if err := db.Listen(t.Context(), func() { t.Error("woken") }); err != nil {
		t.Error(err)
	}
	if err := db.Notify(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAPoolHasRoomForAllThatIsHeld works with the smallest pool, beside the connections that a process always holds.
func TestAPoolHasRoomForAllThatIsHeld(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		settings.MaxOpenConns = 1
		l := listen(t, settings)
		lock := dialecttest.MustUse(t, l.db)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := dialecttest.InTx(ctx, l.db, func(*dialect.Tx) error { return nil }); err != nil {
			t.Error(err)
		}
		dialecttest.Release(t, lock)
	})
}
