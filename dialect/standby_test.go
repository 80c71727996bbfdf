package dialect_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// openServer opens the database of a server that is made for a test.
func openServer(t *testing.T, server *pgtest.Server, reading bool) *dialect.DB {
	t.Helper()
	db, err := dialect.Open(t.Context(), dialect.Settings{URL: dialect.Secret(server.URL()), Reading: reading})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // its connections may be broken
	return db
}

// await waits until a database stands as it should.
func await(t *testing.T, db *dialect.DB, what string, stands func(dialect.Standing) bool) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		standing, err := db.Standing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stands(standing) {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s: it is %+v", what, standing)
		}
	}
}

func TestNoDatabaseFollowsAnotherUnlessItIsAStandby(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db, err := dialect.Open(t.Context(), settings)
		if err != nil {
			t.Fatal(err)
		}
		standing, err := db.Standing(t.Context())
		if err = errors.Join(err, db.Close()); err != nil || standing != (dialect.Standing{}) {
			t.Errorf("%+v, %v", standing, err)
		}
	})
}

// TestAStandbySaysHowFarBehindItIs stops a standby from applying what it receives, then stops its primary.
func TestAStandbySaysHowFarBehindItIs(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	standby := server.StartStandby(t)
	primary, db := openServer(t, server, false), openServer(t, standby, true)
	upToDate := func(s dialect.Standing) bool { return s.Follows && s.Receives && s.Behind == 0 }
	execute(t, primary, "CREATE TABLE letters (n BIGINT)") // the standby has received it once this has ended
	await(t, db, "up to date", upToDate)

	execute(t, db, "SELECT pg_wal_replay_pause()")
	execute(t, primary, "CREATE TABLE numbers (n BIGINT)")
	await(t, db, "behind", func(s dialect.Standing) bool { return s.Receives && s.Behind > 100*time.Millisecond })
	execute(t, db, "SELECT pg_wal_replay_resume()")
	await(t, db, "up to date again", upToDate)

	server.Stop(pgtest.Fast)
	await(t, db, "alone", func(s dialect.Standing) bool { return s.Follows && !s.Receives && s.Behind > 0 })
	standby.Promote()
	await(t, db, "promoted", func(s dialect.Standing) bool { return !s.Follows })
}

// execute runs a statement outside of transactions.
func execute(t *testing.T, db *dialect.DB, statement string) {
	t.Helper()
	if _, err := db.Reader.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// TestAReadThatIsInTheWayOfAStandby: a standby ends a read that needs rows which were removed on the primary.
func TestAReadThatIsInTheWayOfAStandby(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	standby := server.StartStandby(t)
	primary, db := openServer(t, server, false), openServer(t, standby, true)
	execute(t, db, "ALTER SYSTEM SET max_standby_streaming_delay = 0")
	execute(t, db, "SELECT pg_reload_conf()")
	execute(t, primary, "CREATE TABLE numbers AS SELECT n FROM generate_series(1, 1000) n")

	count := func(tx interface {
		GetContext(ctx context.Context, dest any, query string, args ...any) error
	}) (n int, err error) {
		err = tx.GetContext(t.Context(), &n, "SELECT COUNT(*) FROM numbers")
		return n, err
	}
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if n, err := count(db.Reader); err == nil && n == 1000 {
			break
		}
	}

	tx, err := db.Reader.BeginTxx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // its connection has ended
	if n, err := count(tx); err != nil || n != 1000 {
		t.Fatalf("%d rows: %v", n, err)
	}
	execute(t, primary, "DELETE FROM numbers")
	execute(t, primary, "VACUUM numbers")

	for began := time.Now(); err == nil && time.Since(began) < time.Minute; time.Sleep(20 * time.Millisecond) {
		_, err = count(tx)
	}
	if class := db.Classify(err); class != dialect.Conflict {
		t.Errorf("%v is of class %v", err, class)
	}
	if text := db.Explain(err).Error(); !strings.HasPrefix(text, "the standby ended what guppy read") {
		t.Error(text)
	}
}
