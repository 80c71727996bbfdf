package dialect_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// TestWhoKeepsOthersFromWritingIsNamed while another process has a transaction that is not over.
func TestWhoKeepsOthersFromWritingIsNamed(t *testing.T) {
	settings := dialect.Settings{URL: dialect.Secret(filepath.Join(t.TempDir(), "guppy.db"))}
	db := open(t, settings)
	execute(t, db, "CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (1)")
	if who := db.Writing(db); who != "" {
		t.Errorf("nobody writes, but %q is said to", who)
	}

	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if who := db.Writing(db); who != "" {
		t.Errorf("this process alone writes, but %q is said to", who)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Release(); err != nil {
		t.Fatal(err)
	}

	writer := startUserAs(t, envWrite, settings)
	if writer.said != "in use\n" {
		t.Fatal(writer.said)
	}
	want := fmt.Sprintf("process %d (", writer.Process.Pid)
	if who := db.Writing(db); !strings.HasPrefix(who, want) || strings.Contains(who, "stopped") {
		t.Errorf("process %d writes, but %q is said to", writer.Process.Pid, who)
	}
	if err := writer.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer writer.Process.Signal(syscall.SIGCONT) //nolint:errcheck // else its end fails the test
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(db.Writing(db), "which is stopped: kill -CONT"); {
		if time.Now().After(deadline) {
			t.Fatalf("%q does not say that it is stopped", db.Writing(db))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
