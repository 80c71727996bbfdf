package sqlite_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

// TestWhoKeepsOthersFromWritingIsNamed has another process with an open transaction.
func TestWhoKeepsOthersFromWritingIsNamed(t *testing.T) {
	settings := dialect.Settings{URL: dialect.Secret(filepath.Join(t.TempDir(), "guppy.db"))}
	db := dialecttest.Open(t, settings)
	dialecttest.Execute(t, db, "CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (1)")
	if who := db.Writing(); who != "" {
		t.Errorf("nobody writes, but %q is said to", who)
	}

	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	if who := db.Writing(); who != "" {
		t.Errorf("this process alone writes, but %q is said to", who)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Release(); err != nil {
		t.Fatal(err)
	}

	writer := dialecttest.StartWriter(t, settings)
	if writer.Said != "in use\n" {
		t.Fatal(writer.Said)
	}

	want := fmt.Sprintf("process %d (", writer.Process.Pid)
	if who := db.Writing(); !strings.HasPrefix(who, want) || strings.Contains(who, "stopped") {
		t.Errorf("process %d writes, but %q is said to", writer.Process.Pid, who)
	}
	if err := writer.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer writer.Process.Signal(syscall.SIGCONT) //nolint:errcheck // else its end fails the test

	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(db.Writing(), "which is stopped: kill -CONT"); {
		if time.Now().After(deadline) {
			t.Fatalf("%q does not say that it is stopped", db.Writing())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
