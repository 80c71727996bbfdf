package migrate_test

import (
	"errors"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/migrate"
)

func TestAForeignDatabaseIsLeftAlone(t *testing.T) {
	for _, e := range enginetest.Engines() {
		t.Run(e.Name, func(t *testing.T) {
			settings := e.Settings(t)
			db, err := dialect.Open(t.Context(), settings)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close() //nolint:errcheck // the test is over
			if _, err := db.Writer.ExecContext(t.Context(), "CREATE TABLE theirs (n BIGINT PRIMARY KEY)"); err != nil {
				t.Fatal(err)
			}
			if _, err := migrate.New(settings).Ensure(t.Context(), true); !errors.Is(err, migrate.ErrForeign) {
				t.Errorf("got %v", err)
			}
			if empty, err := db.IsEmpty(t.Context(), "theirs"); err != nil || !empty {
				t.Errorf("there is more than their table now: %v", err)
			}
		})
	}
}

func TestASchemaDoesNotChangeWhileItIsUsed(t *testing.T) {
	for _, e := range enginetest.Engines() {
		t.Run(e.Name, func(t *testing.T) {
			settings := e.Settings(t)
			db := enginetest.MustOpen(t, settings)
			use, err := db.LockUse(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			migrator := migrate.New(settings)
			if _, err := migrator.Down(t.Context(), 1); !errors.Is(err, dialect.ErrLocked) {
				t.Errorf("down: %v", err)
			}
			if _, err := migrator.Force(t.Context(), 1); !errors.Is(err, dialect.ErrLocked) {
				t.Errorf("force: %v", err)
			}
			if _, err := migrator.Ensure(t.Context(), true); err != nil {
				t.Errorf("nothing to do: %v", err)
			}
			if err := use.Release(); err != nil {
				t.Fatal(err)
			}
			if result, err := migrator.Down(t.Context(), 1); err != nil || result.To != 8 {
				t.Errorf("down after that: %+v, %v", result, err)
			}
		})
	}
}
