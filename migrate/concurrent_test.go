package migrate

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

func TestManyGoroutinesEnsureAtOnce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		const count = 10
		results, errs := make([]Result, count), make([]error, count)
		var group sync.WaitGroup
		for i := range count {
			group.Go(func() { results[i], errs[i] = migrator(settings, first(3)).Ensure(t.Context(), false) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		applied := 0
		for _, result := range results {
			applied += len(result.Applied)
			if result.To != 3 {
				t.Errorf("%+v", result)
			}
		}
		if applied != 3 {
			t.Errorf("%d migrations were applied", applied)
		}
	})
}

func TestWaitingForTheLockEnds(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := migrator(settings, first(3), WithLockTimeout(150*time.Millisecond))
		list, err := m.load()
		if err != nil {
			t.Fatal(err)
		}
		holder, err := m.begin(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range changes(m) {
			if _, err := call(t.Context()); !errors.Is(err, ErrBusy) {
				t.Errorf("%s: %v", name, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		if _, err := migrator(settings, first(3)).Up(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that ended: %v", err)
		}
		if err := holder.close(); err != nil {
			t.Fatal(err)
		}
		if result := mustUp(t, m); result.To != 3 {
			t.Errorf("once the lock is free: %+v", result)
		}
	})
}

// What looks dirty to somebody who doesn't hold the lock may be a migration that another tool runs.
func TestEnsureWaitsForRunningMigration(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := migrator(settings, first(3))
		mustUp(t, m)
		list, err := m.load()
		if err != nil {
			t.Fatal(err)
		}
		running, err := m.begin(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := running.db.Writer.ExecContext(t.Context(), "UPDATE schema_migrations SET dirty = TRUE"); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := m.Ensure(t.Context(), false)
			ended <- err
		}()
		select {
		case err := <-ended:
			t.Fatalf("it didn't wait: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		if _, err := running.db.Writer.ExecContext(t.Context(), "UPDATE schema_migrations SET dirty = FALSE"); err != nil {
			t.Fatal(err)
		}
		if err := running.close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
