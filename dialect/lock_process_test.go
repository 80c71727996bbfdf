package dialect_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func TestProcessesShareTheUse(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		mine := dialecttest.MustUse(t, db)
		// The latest one ends first.
		second, first := dialecttest.StartUser(t, settings), dialecttest.StartUser(t, settings)
		for _, u := range []*dialecttest.User{first, second} {
			if u.Said != "in use\n" {
				t.Fatalf("another process says %q", u.Said)
			}
		}

		dialecttest.Release(t, mine)
		_, err := db.LockAll(t.Context())
		if !errors.Is(err, dialect.ErrLocked) || !namesEither(err, first, second) {
			t.Errorf("all beside two that use it: %v", err)
		}
		if err := errors.Join(first.Input.Close(), first.Wait()); err != nil {
			t.Error(err)
		}

		_, err = db.LockAll(t.Context())
		if !errors.Is(err, dialect.ErrLocked) || !namesEither(err, second) || namesEither(err, first) {
			t.Errorf("all beside one that uses it: %v", err)
		}
		if err := second.Process.Kill(); err != nil {
			t.Fatal(err)
		}

		all := dialecttest.MustLockSoon(t, db)
		if third := dialecttest.StartUser(t, settings); !strings.Contains(third.Said, dialect.ErrLocked.Error()) {
			t.Errorf("another process says %q beside all", third.Said)
		}
		dialecttest.Release(t, all)
	})
}

func namesEither(err error, users ...*dialecttest.User) bool {
	for _, u := range users {
		if strings.Contains(err.Error(), u.Holder()) {
			return true
		}
	}
	return false
}

// TestUseOutlivesItsConnection ends the session that holds the lock. After a moment the lock keeps LockAll away
// again.
func TestUseOutlivesItsConnection(t *testing.T) {
	db := dialecttest.OpenPostgres(t)
	use, other := dialecttest.MustUse(t, db), dialecttest.MustUse(t, db)
	dialecttest.Release(t, other)
	before := lockSessions(t, db)

	dialecttest.Execute(t, db, fmt.Sprintf("SELECT pg_terminate_backend(%d)", before[0]))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if now := lockSessions(t, db); len(now) == 1 && now[0] != before[0] {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the lock was not taken again")
		}
	}

	dialecttest.RequireLocked(t, db)
	dialecttest.Release(t, use)
	dialecttest.Release(t, dialecttest.MustLock(t, db))
	if used := db.Writer.Stats().InUse; used != 0 {
		t.Errorf("%d connections are still in use", used)
	}
}
