//go:build long

package sqlite_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

// mostLog is what the log of changes must stay below.
const mostLog = 160 << 20

func logSize(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// grow writes 240 MiB in transactions of 8, and returns the largest size of the log.
func grow(t *testing.T, db *dialect.DB, file string) (largest int64) {
	t.Helper()
	for n := range 30 {
		change(t, db, n)
		largest = max(largest, logSize(t, file))
	}
	return largest
}

// change changes all pages of the row: unchanged pages would not be written.
func change(t *testing.T, db *dialect.DB, n int) {
	t.Helper()
	err := dialecttest.InTx(t.Context(), db, func(tx *dialect.Tx) error {
		_, err := tx.ExecContext(t.Context(), "UPDATE wide SET v = ?", bytes.Repeat([]byte{byte(n)}, 8<<20))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func openWide(t *testing.T) (db *dialect.DB, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "x.db")
	db = dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(file)})
	dialecttest.Execute(t, db, "CREATE TABLE wide (v BLOB)", "INSERT INTO wide VALUES (NULL)")
	return db, file
}

// TestTheLogStaysShortWhileReadersTakeTurns has a reader at all times, each for a few transactions of the writer.
func TestTheLogStaysShortWhileReadersTakeTurns(t *testing.T) {
	db, file := openWide(t)
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	begun := make(chan struct{})
	reading.Go(func() { takeTurns(ctx, t, db, begun) })
	<-begun

	largest := grow(t, db, file)
	cancel()
	reading.Wait()
	if largest > mostLog {
		t.Errorf("the log grew to %d MiB", largest>>20)
	}
	t.Logf("the log grew to %d MiB", largest>>20)
}

// takeTurns ends a reading transaction only when the next one has begun.
func takeTurns(ctx context.Context, t *testing.T, db *dialect.DB, begun chan<- struct{}) {
	var before *sqlx.Tx
	for ctx.Err() == nil {
		tx, err := db.Reader.Beginx()
		var n int
		if err == nil {
			err = tx.Get(&n, "SELECT COUNT(*) FROM wide")
		}
		if err != nil {
			t.Error(err)
			break
		}

		if before == nil {
			close(begun)
		} else if err := before.Rollback(); err != nil {
			t.Error(err)
		}

		before = tx
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	if before != nil {
		_ = before.Rollback() // it only read
	}
}

// TestTheLogShrinksAfterALongReader lets writers go on while one reader reads.
func TestTheLogShrinksAfterALongReader(t *testing.T) {
	db, file := openWide(t)
	tx, err := db.Reader.Beginx()
	if err != nil {
		t.Fatal(err)
	}

	var before, after []byte
	if err := tx.Get(&before, "SELECT v FROM wide"); err != nil {
		t.Fatal(err)
	}

	if largest := grow(t, db, file); largest < 220<<20 {
		t.Errorf("the reader was no hindrance: the log has %d MiB", largest>>20)
	}
	if err := tx.Get(&after, "SELECT v FROM wide"); err != nil || len(before) != len(after) {
		t.Errorf("the reader saw %d and %d bytes: %v", len(before), len(after), err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}

	for n := range 4 {
		change(t, db, n)
	}
	if size := logSize(t, file); size > 64<<20 {
		t.Errorf("the log still has %d MiB", size>>20)
	}
	if n := dialecttest.Get[int](t, db, "PRAGMA busy_timeout"); n != 30000 {
		t.Errorf("writers wait for %d ms after that", n)
	}
}
