//go:build long

package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// classUse is the class of the lock that users of the tables hold, shared or exclusive.
const classUse = 0x67757070

// TestALockThatIsLostEndsTheWork ends the session that holds the exclusive lock while a transaction of the
// command waits. Nothing of the transaction may be committed, another process must get in, and the command must
// succeed when it is run again.
func TestALockThatIsLostEndsTheWork(t *testing.T) {
	t.Parallel()
	program := build(t)
	tests := map[string]struct {
		command []string
		// barrier is a statement that keeps the command from going on with a change.
		barrier string
	}{
		"check --repair": {[]string{"check", "--repair", "--yes"}, "LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE"},
		"transfer":       {[]string{"transfer", "--to"}, "LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE"},
	}

	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			i := install(t, program, engines()[1])
			source := filepath.Join(t.TempDir(), "source")
			if err := writeRandom(source, 8, 300_000); err != nil {
				t.Fatal(err)
			}
			i.run(t, "prepare", source)

			locked := *i
			command := test.command
			switch name {
			case "transfer":
				locked.url = pgtest.URL(t)
				locked.run(t, "migrate", "up")
				command = append(command, locked.url)
			case "check --repair":
				execute(t, connect(t, i.url), "DELETE FROM nodes WHERE shard = (SELECT MAX(id) FROM shards)")
			}

			before := normalise(locked.run(t, "dump"))
			database := connect(t, locked.url)

			barrier := begin(t, database, test.barrier)
			p := i.start(t, command...)
			execute(t, database, "SELECT pg_terminate_backend($1)", waitingUnderLock(t, database, p))
			if code := p.exit(t); code != exitDatabase || !strings.Contains(p.stderr.String(), "lock on the database was lost") {
				t.Errorf("exit code %d\n%s", code, &p.stderr)
			}
			if err := barrier.Rollback(); err != nil {
				t.Fatal(err)
			}

			if after := normalise(locked.run(t, "dump")); after != before {
				t.Errorf("there was\n%s\nand now is\n%s", before, after)
			}

			// The command can be run again.
			i.run(t, command...)
			locked.run(t, "prepare", source)
			locked.run(t, "check", "--read-data")
		})
	}
}

func connect(t *testing.T, url string) *sql.DB {
	t.Helper()
	database, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	return database
}

func execute(t *testing.T, database *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := database.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// begin runs a statement in a transaction that stays open.
func begin(t *testing.T, database *sql.DB, statement string) *sql.Tx {
	t.Helper()
	tx, err := database.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return tx
}

// waitingUnderLock returns the session with the exclusive lock once a transaction waits for another one.
func waitingUnderLock(t *testing.T, database *sql.DB, p *process) (session int) {
	t.Helper()
	const holder = `SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.mode = 'ExclusiveLock' AND l.granted
		AND l.classid = $1 AND EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
			AND wait_event_type = 'Lock')`

	for {
		select {
		case <-p.ended:
			t.Fatalf("it has ended before it changed anything: %s", &p.stderr)
		case <-time.After(10 * time.Millisecond):
		}
		if err := database.QueryRowContext(t.Context(), holder, classUse).Scan(&session); err == nil {
			return session
		}
	}
}
