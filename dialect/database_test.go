package dialect_test

import (
	"context"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func TestHasTable(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db, "CREATE TABLE there (n BIGINT)", "CREATE INDEX there_index ON there (n)",
			"CREATE VIEW there_view AS SELECT n FROM there", `CREATE TABLE "Odd ' name?" (n BIGINT)`)
		for name, want := range map[string]bool{
			"there": true, "Odd ' name?": true, "": false, "nowhere": false, "there_index": false, "there_view": false,
			"There": false, "the%": false, "there'": false,
		} {
			if found, err := db.HasTable(t.Context(), name); err != nil || found != want {
				t.Errorf("%q: %t, %v", name, found, err)
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if found, err := db.HasTable(ctx, "there"); err == nil || found {
			t.Errorf("cancelled: %t, %v", found, err)
		}
	})
}

func TestSizeGrows(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		size := func() int64 {
			n, err := db.Size(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}

		dialecttest.Execute(t, db, "CREATE TABLE bulk (n BIGINT PRIMARY KEY, data BYTEA, text TEXT)")
		before := size()
		if err := dialecttest.InsertBulk(t.Context(), db, dialecttest.BulkRows(20000)); err != nil {
			t.Fatal(err)
		}
		if grown := size() - before; grown < 20000*10 || grown > 20000*1000 {
			t.Errorf("20000 rows take %d bytes", grown)
		}
	})
}

func TestSnapshotSeesOneState(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db, "CREATE TABLE a (n BIGINT)")
		options := db.Snapshot
		tx, err := db.Reader.BeginTxx(t.Context(), &options)
		if err != nil {
			t.Fatal(err)
		}

		for range 2 {
			var n int
			if err := tx.GetContext(t.Context(), &n, "SELECT COUNT(*) FROM a"); err != nil || n != 0 {
				t.Errorf("%d rows, %v", n, err)
			}
			dialecttest.Execute(t, db, "INSERT INTO a VALUES (1)")
		}

		if _, err := tx.ExecContext(t.Context(), "DELETE FROM a"); err == nil {
			t.Error("a snapshot can be written to")
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	})
}

func TestPoolsAreBounded(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		settings.MaxOpenConns = 1
		db := dialecttest.Open(t, settings)
		lock, err := db.LockUse(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		if err := dialecttest.InTx(t.Context(), db, func(*dialect.Tx) error { return nil }); err != nil {
			t.Errorf("a transaction beside the lock: %v", err)
		}
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	})
}

// TestNothingIsLeftRunning looks for goroutines after all operations that start some.
func TestNothingIsLeftRunning(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		leaks := goleak.IgnoreCurrent()
		db, err := dialect.Open(t.Context(), settings)
		if err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		dialecttest.Execute(t, db, "CREATE TABLE bulk (n BIGINT PRIMARY KEY, data BYTEA, text TEXT)")
		if err := dialecttest.InsertBulk(ctx, db, dialecttest.BulkRows(100)); err != nil {
			t.Error(err)
		}

		lock, err := db.LockUse(ctx)
		if err != nil {
			t.Fatal(err)
		}

		err = dialecttest.InTx(ctx, db, func(*dialect.Tx) error {
			cancel()
			return fmt.Errorf("given up: %w", ctx.Err())
		})
		if err == nil {
			t.Error("a cancelled transaction was committed")
		}

		if err := lock.Release(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, leaks)
	})
}

func TestFailedOpenLeavesNothingRunning(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	for _, settings := range []dialect.Settings{
		{URL: "/nowhere/at/all.db"}, {URL: "postgres://u@127.0.0.1:1/db?sslmode=disable"}, {URL: "postgres://u@h:port"},
	} {
		if _, err := dialect.Open(t.Context(), settings); err == nil {
			t.Error("it was opened")
		}
	}
	goleak.VerifyNone(t, leaks)
}
