package postgres_test

import (
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

const backend = "SELECT pg_backend_pid()"

func TestConnectionsRetire(t *testing.T) {
	url := dialect.Secret(pgtest.URL(t))
	short := dialecttest.Open(t, dialect.Settings{URL: url, ConnMaxLifetime: 500 * time.Millisecond})
	long := dialecttest.Open(t, dialect.Settings{URL: url})
	ofShort, ofLong := dialecttest.Get[int](t, short, backend), dialecttest.Get[int](t, long, backend)
	time.Sleep(600 * time.Millisecond)
	if pid := dialecttest.Get[int](t, short, backend); pid == ofShort {
		t.Error("a connection outlived its lifetime")
	}
	if pid := dialecttest.Get[int](t, long, backend); pid != ofLong {
		t.Error("a connection without a lifetime ended")
	}
}

// TestBrokenConnectionIsReplaced kills a connection while it is idle.
func TestBrokenConnectionIsReplaced(t *testing.T) {
	url := dialect.Secret(pgtest.URL(t))
	db, other := dialecttest.Open(t, dialect.Settings{URL: url}), dialecttest.Open(t, dialect.Settings{URL: url})
	pid := dialecttest.Get[int](t, db, backend)
	if _, err := other.Writer.ExecContext(t.Context(), "SELECT pg_terminate_backend($1)", pid); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if again := dialecttest.Get[int](t, db, backend); again == pid {
		t.Error("it is the connection that was killed")
	}
}

func TestPoolBounds(t *testing.T) {
	for _, tt := range []struct{ open, idle, wantOpen, wantIdle int }{
		{7, 0, 7, 7}, {7, 3, 7, 3}, {7, 9, 7, 7}, {1, 1, 3, 1},
	} {
		open, idle := dialect.Settings{MaxOpenConns: tt.open, MaxIdleConns: tt.idle}.PoolBounds()
		if open != tt.wantOpen || idle != tt.wantIdle {
			t.Errorf("%+v: %d, %d", tt, open, idle)
		}
	}
}

func TestPiecesWithPassword(t *testing.T) {
	const password = dialecttest.Hidden + ` @#:/?%'\ "&=`
	server := piecesOf(t, pgtest.Start(t, pgtest.WithPassword(password)).URL())
	settings := withOptions(server)
	settings.Password = password
	db := dialecttest.Open(t, settings)
	dialecttest.RequireHidden(t, "pieces", settings, db, *db, db.Describe())
	if db.Name != postgres.Name {
		t.Errorf("the engine is %s", db.Name)
	}
	settings.Password = dialecttest.Hidden
	requireAdvice(t, settings, "PostgreSQL database \"postgres\" at 127.0.0.1:")
}
