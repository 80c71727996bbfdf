package dialecttest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// MustLock takes the lock on the whole database.
func MustLock(t *testing.T, db *dialect.DB) dialect.Lock {
	t.Helper()
	lock, err := db.LockAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// RequireLocked fails the test unless a lock of this process keeps others from locking all.
func RequireLocked(t *testing.T, db *dialect.DB) {
	t.Helper()
	lock, err := db.LockAll(t.Context())
	if err == nil {
		t.Errorf("locked twice; %v", lock.Release())
	}
	host, _ := os.Hostname()
	holder := fmt.Sprintf("process %d on %s", os.Getpid(), host)
	if !errors.Is(err, dialect.ErrLocked) || !strings.Contains(err.Error(), holder) {
		t.Errorf("%v doesn't name %q", err, holder)
	}
}

// Release releases a lock.
func Release(t *testing.T, lock dialect.Lock) {
	t.Helper()
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

// MustUse takes a lock of LockUse.
func MustUse(t *testing.T, db *dialect.DB) dialect.Lock {
	t.Helper()
	lock, err := db.LockUse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// MustLockSoon waits until the lock of a killed process is free, and takes it.
func MustLockSoon(t *testing.T, db *dialect.DB) dialect.Lock {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		all, err := db.LockAll(t.Context())
		if err == nil {
			return all
		}
		if !errors.Is(err, dialect.ErrLocked) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
