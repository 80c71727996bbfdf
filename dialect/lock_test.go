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
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

func mustLock(t *testing.T, db *dialect.DB) dialect.Lock {
	t.Helper()
	lock, err := db.LockAll(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func requireLocked(t *testing.T, db *dialect.DB) {
	t.Helper()
	lock, err := db.LockAll(t.Context(), db)
	if err == nil {
		t.Errorf("locked twice; %v", lock.Release())
	}
	host, _ := os.Hostname()
	holder := fmt.Sprintf("process %d on %s", os.Getpid(), host)
	if !errors.Is(err, dialect.ErrLocked) || !strings.Contains(err.Error(), holder) {
		t.Errorf("%v doesn't name %q", err, holder)
	}
}

func release(t *testing.T, lock dialect.Lock) {
	t.Helper()
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

func TestLockAllExcludes(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		first, second := open(t, settings), open(t, settings)
		for range 3 {
			lock := mustLock(t, first)
			requireLocked(t, first)
			requireLocked(t, second)
			release(t, lock)
			release(t, mustLock(t, second))
		}
		if used := first.Writer.Stats().InUse + second.Writer.Stats().InUse; used != 0 {
			t.Errorf("%d connections are still in use", used)
		}
	})
}

func TestLocksNeedLiveContext(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, lock := range []func(context.Context, *dialect.DB) (dialect.Lock, error){db.LockAll, db.LockUse} {
			if _, err := lock(ctx, db); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
		release(t, mustLock(t, db))
	})
}

// The lock outlives the context that it was asked for with.
func TestLockOutlivesContext(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		ctx, cancel := context.WithCancel(t.Context())
		lock, err := db.LockAll(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		requireLocked(t, db)
		release(t, lock)
	})
}

func TestSQLiteLocksItsOwnDatabase(t *testing.T) {
	settings, file := sqliteSettings(t)
	db, other := open(t, settings), open(t, dialect.Settings{URL: dialect.Secret(filepath.Join(t.TempDir(), "other.db"))})
	lock := mustLock(t, db)
	requireLocked(t, db)
	release(t, mustLock(t, other))
	info, err := os.Stat(file + ".lock")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the lock's file: %v, %v", info.Mode(), err)
	}
	release(t, lock)
}

func TestPostgresLocksItsOwnDatabase(t *testing.T) {
	db, other := openPostgres(t), openPostgres(t)
	lock := mustLock(t, db)
	release(t, mustLock(t, other))
	release(t, lock)
}

func TestPostgresFreesTheLockOfDeadConnections(t *testing.T) {
	db := openPostgres(t)
	lock := mustLock(t, db)
	execute(t, db, `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	again, err := db.LockAll(t.Context(), db)
	for deadline := time.Now().Add(time.Minute); errors.Is(err, dialect.ErrLocked) && time.Now().Before(deadline); {
		again, err = db.LockAll(t.Context(), db)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = lock.Release() // its connection is gone, and says so
	requireLocked(t, db)
	release(t, again)
}

func TestPostgresLockHolderIsWhatTheURLNames(t *testing.T) {
	location, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	location.RawQuery += "&application_name=the%20other"
	db := open(t, dialect.Settings{URL: dialect.Secret(location.String())})
	lock := mustLock(t, db)
	if _, err := db.LockAll(t.Context(), db); err == nil || !strings.Contains(err.Error(), "the other") {
		t.Errorf("%v doesn't name the holder", err)
	}
	release(t, lock)
}

func TestManyUseButOneHasAll(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db, other := open(t, settings), open(t, settings)
		first, second := mustUse(t, db), mustUse(t, other)
		requireLocked(t, other)
		release(t, first)
		requireLocked(t, db)
		release(t, second)
		all := mustLock(t, other)
		if lock, err := db.LockUse(t.Context(), db); !errors.Is(err, dialect.ErrLocked) {
			t.Errorf("in use beside all: %v, %v", lock, err)
		}
		release(t, all)
		release(t, mustUse(t, db))
	})
}

func mustUse(t *testing.T, db *dialect.DB) dialect.Lock {
	t.Helper()
	lock, err := db.LockUse(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// TestUseKeepsNoLockBehindAPooler: that of a session would go to whoever gets its connection next.
func TestUseKeepsNoLockBehindAPooler(t *testing.T) {
	db := open(t, dialect.Settings{URL: dialect.Secret(pgtest.URL(t)), TransactionPooler: true})
	first, second := mustUse(t, db), mustUse(t, db)
	if held := lockSessions(t, db); len(held) != 0 {
		t.Errorf("locks of %v", held)
	}
	release(t, first)
	release(t, second)
}

// TestALostLockEndsItsWork ends the session that holds a lock, as a restart of the server does: others may have been at
// work since, so nothing more is committed under it.
func TestALostLockEndsItsWork(t *testing.T) {
	settings := dialect.Settings{URL: dialect.Secret(pgtest.URL(t))}
	first, second := open(t, settings), open(t, settings)
	execute(t, first, "CREATE TABLE rows (n BIGINT PRIMARY KEY)")
	lock := mustLock(t, first)
	defer release(t, lock)
	ctx := lock.Watch(t.Context())
	insert := func(db *dialect.DB, n int) error {
		return inTx(t.Context(), db, func(tx *dialect.Tx) error {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO rows VALUES ($1)", n)
			return err
		})
	}
	if err := insert(first, 1); err != nil {
		t.Fatal(err)
	}

	execute(t, second, fmt.Sprintf("SELECT pg_terminate_backend(%d, 10000)", lockSessions(t, second)[0]))
	use := mustUse(t, second)
	defer release(t, use)
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
	if rows := get[int](t, second, "SELECT COUNT(*) FROM rows"); rows != 2 {
		t.Errorf("%d rows", rows)
	}
}

// TestALateCommitKeepsTheLock has a transaction under way when the session ends that holds its lock: whoever takes the
// lock waits for it.
func TestALateCommitKeepsTheLock(t *testing.T) {
	for name, take := range map[string]func(*testing.T, *dialect.DB) dialect.Lock{"all": mustLock, "use": mustUse} {
		t.Run(name, func(t *testing.T) {
			settings := dialect.Settings{URL: dialect.Secret(pgtest.URL(t))}
			first, second := open(t, settings), open(t, settings)
			lock := take(t, first)
			err := inTx(t.Context(), first, func(tx *dialect.Tx) error {
				if err := tx.Flush(t.Context()); err != nil {
					return err
				}
				execute(t, second, fmt.Sprintf("SELECT pg_terminate_backend(%d, 10000)", lockSessions(t, second)[0]))
				requireLocked(t, second)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			release(t, lock) // a shared one may have been taken again
			release(t, mustLockSoon(t, second))
		})
	}
}

// TestASharedLockTakenAgain is as good as before if nobody has had all meanwhile, as the mark tells.
func TestASharedLockTakenAgain(t *testing.T) {
	for name, locked := range map[string]bool{"nobody": false, "somebody": true} {
		t.Run(name, func(t *testing.T) {
			db := openPostgres(t)
			var mark atomic.Int64
			db.Mark = func(context.Context, sqlx.QueryerContext) (int64, error) { return mark.Load(), nil }
			use := mustUse(t, db)
			defer release(t, use)
			ctx := use.Watch(t.Context())
			if locked {
				mark.Add(1)
			}
			before := lockSessions(t, db)[0]
			execute(t, db, fmt.Sprintf("SELECT pg_terminate_backend(%d, 10000)", before))
			if err := inTx(t.Context(), db, func(tx *dialect.Tx) error { return tx.Flush(t.Context()) }); err == nil {
				t.Error("a transaction was begun without the lock")
			}
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				err := inTx(t.Context(), db, func(tx *dialect.Tx) error { return tx.Flush(t.Context()) })
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

// lockSessions are the processes of the server that hold the locks of the database, one for each lock. Their other
// advisory locks, by which transactions prove that the lock is held, are of other classes.
func lockSessions(t *testing.T, db *dialect.DB) (pids []int) {
	t.Helper()
	err := db.Writer.SelectContext(t.Context(), &pids, `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND classid = 1735749744 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY pid`)
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

func TestARefusingFileSystemIsNoOutage(t *testing.T) {
	for _, d := range []dialect.Dialect{dialect.SQLite(), dialect.Postgres()} {
		for _, errno := range []syscall.Errno{syscall.EACCES, syscall.EMFILE, syscall.ENOSPC, syscall.EROFS} {
			if class := d.Classify(&os.PathError{Op: "open", Path: "x", Err: errno}); class == dialect.Unavailable {
				t.Errorf("%s: %v is taken for an outage", d.Name, errno)
			}
		}
	}
}

func TestIsEmpty(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		requireEmpty(t, db, true)
		execute(t, db, "CREATE TABLE ours (n BIGINT PRIMARY KEY)")
		requireEmpty(t, db, true)
		execute(t, db, "CREATE TABLE theirs (n BIGINT PRIMARY KEY)")
		requireEmpty(t, db, false)
	})
}

func requireEmpty(t *testing.T, db *dialect.DB, want bool) {
	t.Helper()
	if empty, err := db.IsEmpty(t.Context(), db, "ours"); err != nil || empty != want {
		t.Errorf("empty: %t, %v; want %t", empty, err, want)
	}
}
