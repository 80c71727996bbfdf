package dialect_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func TestLockAllExcludes(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		first, second := dialecttest.Open(t, settings), dialecttest.Open(t, settings)
		for range 3 {
			lock := dialecttest.MustLock(t, first)
			dialecttest.RequireLocked(t, first)
			dialecttest.RequireLocked(t, second)
			dialecttest.Release(t, lock)
			dialecttest.Release(t, dialecttest.MustLock(t, second))
		}

		if used := first.Writer.Stats().InUse + second.Writer.Stats().InUse; used != 0 {
			t.Errorf("%d connections are still in use", used)
		}
	})
}

func TestLocksNeedLiveContext(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, lock := range []func(context.Context) (dialect.Lock, error){db.LockAll, db.LockUse} {
			if _, err := lock(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
		dialecttest.Release(t, dialecttest.MustLock(t, db))
	})
}

// The lock outlives the context that it was asked for with.
func TestLockOutlivesContext(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		ctx, cancel := context.WithCancel(t.Context())
		lock, err := db.LockAll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		dialecttest.RequireLocked(t, db)
		dialecttest.Release(t, lock)
	})
}

func TestSQLiteLocksItsOwnDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	settings := sqliteAt(file)
	db, other := dialecttest.Open(t, settings), dialecttest.Open(t, sqliteAt(filepath.Join(t.TempDir(), "other.db")))
	lock := dialecttest.MustLock(t, db)
	dialecttest.RequireLocked(t, db)
	dialecttest.Release(t, dialecttest.MustLock(t, other))
	info, err := os.Stat(file + ".lock")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the lock's file: %v, %v", info.Mode(), err)
	}
	dialecttest.Release(t, lock)
}

func TestPostgresLocksItsOwnDatabase(t *testing.T) {
	db, other := dialecttest.OpenPostgres(t), dialecttest.OpenPostgres(t)
	lock := dialecttest.MustLock(t, db)
	dialecttest.Release(t, dialecttest.MustLock(t, other))
	dialecttest.Release(t, lock)
}

func TestPostgresFreesTheLockOfDeadConnections(t *testing.T) {
	db := dialecttest.OpenPostgres(t)
	lock := dialecttest.MustLock(t, db)
	dialecttest.Execute(t, db, `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	again, err := db.LockAll(t.Context())
	for deadline := time.Now().Add(time.Minute); errors.Is(err, dialect.ErrLocked) && time.Now().Before(deadline); {
		again, err = db.LockAll(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = lock.Release() // the error is that its connection is gone
	dialecttest.RequireLocked(t, db)
	dialecttest.Release(t, again)
}

func TestPostgresLockHolderIsWhatTheURLNames(t *testing.T) {
	location, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	location.RawQuery += "&application_name=the%20other"
	db := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(location.String())})
	lock := dialecttest.MustLock(t, db)
	if _, err := db.LockAll(t.Context()); err == nil || !strings.Contains(err.Error(), "the other") {
		t.Errorf("%v doesn't name the holder", err)
	}
	dialecttest.Release(t, lock)
}

func TestManyUseButOneHasAll(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db, other := dialecttest.Open(t, settings), dialecttest.Open(t, settings)
		first, second := dialecttest.MustUse(t, db), dialecttest.MustUse(t, other)
		dialecttest.RequireLocked(t, other)
		dialecttest.Release(t, first)
		dialecttest.RequireLocked(t, db)
		dialecttest.Release(t, second)

		all := dialecttest.MustLock(t, other)
		if lock, err := db.LockUse(t.Context()); !errors.Is(err, dialect.ErrLocked) {
			t.Errorf("in use beside all: %v, %v", lock, err)
		}
		dialecttest.Release(t, all)
		dialecttest.Release(t, dialecttest.MustUse(t, db))
	})
}

// TestUseKeepsNoLockBehindAPooler: a lock of a session would go to the next client that gets its connection.
func TestUseKeepsNoLockBehindAPooler(t *testing.T) {
	settings := dialect.WithOptions(postgresSettings(t), postgres.Options{TransactionPooler: true})
	db := dialecttest.Open(t, settings)
	first, second := dialecttest.MustUse(t, db), dialecttest.MustUse(t, db)
	if held := lockSessions(t, db); len(held) != 0 {
		t.Errorf("locks of %v", held)
	}
	dialecttest.Release(t, first)
	dialecttest.Release(t, second)
}

// TestALostLockEndsItsWork ends the session that holds a lock, as a restart of the server does. Other processes may
// have been at work since, so nothing more is committed under the lock.
func TestALostLockEndsItsWork(t *testing.T) {
	settings := dialect.Settings{URL: dialect.Secret(pgtest.URL(t))}
	first, second := dialecttest.Open(t, settings), dialecttest.Open(t, settings)
	dialecttest.Execute(t, first, "CREATE TABLE rows (n BIGINT PRIMARY KEY)")
	lock := dialecttest.MustLock(t, first)
	defer dialecttest.Release(t, lock)

	ctx := lock.Watch(t.Context())
	insert := func(db *dialect.DB, n int) error {
		return dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO rows VALUES ($1)", n)
			return err
		})
	}
	if err := insert(first, 1); err != nil {
		t.Fatal(err)
	}

	endLockSession(t, second)
	use := dialecttest.MustUse(t, second)
	defer dialecttest.Release(t, use)
	if err := insert(first, 2); err == nil {
		t.Error("a transaction was committed without its lock")
	}

	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the work goes on")
	}
	if err := insert(first, 3); !errors.Is(err, dialect.ErrLockLost) {
		t.Errorf("without the lock: %v", err)
	}

	if cause := context.Cause(ctx); !errors.Is(cause, dialect.ErrLockLost) {
		t.Errorf("the work ended by %v", cause)
	}
	if err := first.Prove(t.Context(), first.Writer); !errors.Is(err, dialect.ErrLockLost) {
		t.Errorf("proved: %v", err)
	}

	if err := insert(second, 4); err != nil {
		t.Error(err)
	}
	if rows := dialecttest.Get[int](t, second, "SELECT COUNT(*) FROM rows"); rows != 2 {
		t.Errorf("%d rows", rows)
	}
}

// TestALateCommitKeepsTheLock ends the session that holds the lock of a transaction under way. The next process that
// takes the lock waits for the transaction.
func TestALateCommitKeepsTheLock(t *testing.T) {
	for name, take := range map[string]func(*testing.T, *dialect.DB) dialect.Lock{
		"all": dialecttest.MustLock, "use": dialecttest.MustUse,
	} {
		t.Run(name, func(t *testing.T) {
			settings := dialect.Settings{URL: dialect.Secret(pgtest.URL(t))}
			first, second := dialecttest.Open(t, settings), dialecttest.Open(t, settings)
			lock := take(t, first)
			err := dialecttest.InTx(t.Context(), first, func(tx *dialect.Tx) error {
				if err := tx.Flush(t.Context()); err != nil {
					return err
				}

				endLockSession(t, second)
				dialecttest.RequireLocked(t, second)
				return nil
			})
			if err != nil {
				t.Error(err)
			}

			dialecttest.Release(t, lock) // a shared one may have been taken again
			dialecttest.Release(t, dialecttest.MustLockSoon(t, second))
		})
	}
}

// TestASharedLockTakenAgain: the lock is as good as before if the mark shows that no other process has locked all
// meanwhile.
func TestASharedLockTakenAgain(t *testing.T) {
	for name, locked := range map[string]bool{"nobody": false, "somebody": true} {
		t.Run(name, func(t *testing.T) {
			db := dialecttest.OpenPostgres(t)
			var mark atomic.Int64
			db.Mark = func(context.Context, sqlx.QueryerContext) (int64, error) { return mark.Load(), nil }
			use := dialecttest.MustUse(t, db)
			defer dialecttest.Release(t, use)

			ctx := use.Watch(t.Context())
			if locked {
				mark.Add(1)
			}
			endLockSession(t, db)
			flush := func(tx *dialect.Tx) error { return tx.Flush(t.Context()) }
			if err := dialecttest.InTx(t.Context(), db, flush); err == nil {
				t.Error("a transaction was begun without the lock")
			}

			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				err := dialecttest.InTx(t.Context(), db, flush)
				if locked && errors.Is(err, dialect.ErrLockLost) && errors.Is(context.Cause(ctx), dialect.ErrLockLost) {
					break
				}
				if !locked && err == nil {
					break
				}
				if err != nil && db.Classify(err) != dialect.Conflict && !locked || time.Now().After(deadline) {
					t.Fatalf("the lock: %v", err)
				}
			}

			if !locked && ctx.Err() != nil {
				t.Errorf("the work ended by %v", context.Cause(ctx))
			}
		})
	}
}

// endLockSession ends the first session that holds the lock, and returns once it is gone with all that it held. Servers
// before version 14 can't wait for that themselves.
func endLockSession(t *testing.T, db *dialect.DB) {
	t.Helper()
	pid := lockSessions(t, db)[0]
	dialecttest.Execute(t, db, fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid))

	alive := fmt.Sprintf("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d)", pid)
	for deadline := time.Now().Add(20 * time.Second); dialecttest.Get[bool](t, db, alive); {
		if time.Now().After(deadline) {
			t.Fatalf("session %d does not end", pid)
		}
	}
}

// lockSessions returns the server processes that hold the locks of the database, one for each lock. Their other
// advisory locks, by which transactions prove that the lock is held, are of other classes.
func lockSessions(t *testing.T, db *dialect.DB) (pids []int) {
	t.Helper()
	err := db.Writer.SelectContext(t.Context(), &pids, `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND classid = 1735749744 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		ORDER BY pid`)
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

func TestARefusingFileSystemIsNoOutage(t *testing.T) {
	for _, d := range []dialect.Engine{sqlite.Engine{}, postgres.Engine{}} {
		for _, errno := range []syscall.Errno{syscall.EACCES, syscall.EMFILE, syscall.ENOSPC, syscall.EROFS} {
			if class := d.Classify(&os.PathError{Op: "open", Path: "x", Err: errno}); class == dialect.Unavailable {
				t.Errorf("%s: %v is taken for an outage", d.Facts().Name, errno)
			}
		}
	}
}

func TestIsEmpty(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		requireEmpty(t, db, true)
		dialecttest.Execute(t, db, "CREATE TABLE ours (n BIGINT PRIMARY KEY)")
		requireEmpty(t, db, true)
		dialecttest.Execute(t, db, "CREATE TABLE theirs (n BIGINT PRIMARY KEY)")
		requireEmpty(t, db, false)
	})
}

func requireEmpty(t *testing.T, db *dialect.DB, want bool) {
	t.Helper()
	if empty, err := db.IsEmpty(t.Context(), "ours"); err != nil || empty != want {
		t.Errorf("empty: %t, %v; want %t", empty, err, want)
	}
}
