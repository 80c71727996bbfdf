package migrate

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func TestStatusOfEmptyDatabase(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		status := mustStatus(t, migrator(settings, first(3)))
		if !status.Empty || status.Dirty || status.Current != 0 || status.Required != 3 ||
			len(status.Applied) != 0 || len(status.Pending) != 3 {
			t.Errorf("status %+v", status)
		}
		if hasTable(t, settings, versionTable) {
			t.Error("asking for the status made the version table")
		}
	})
}

func TestUpDownUpDown(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := New(settings)
		required := mustStatus(t, m).Required
		var schemas []any
		for range 2 {
			result := mustUp(t, m)
			if result.From != 0 || result.To != required || uint(len(result.Applied)) != required {
				t.Fatalf("up: %+v", result)
			}
			schemas = append(schemas, readSchema(t, settings))
			result, err := m.Down(t.Context(), int(required))
			if err != nil || result.From != required || result.To != 0 {
				t.Fatalf("down: %+v, %v", result, err)
			}
			if left := readSchema(t, settings); len(left) != 0 {
				t.Fatalf("down left %v", left)
			}
		}
		requireEqual(t, schemas[1], schemas[0])
	})
}

func TestDownRevertsTheLastOnes(t *testing.T) {
	forEachLong(t, func(t *testing.T, settings dialect.Settings) {
		m := migrator(settings, first(3))
		mustUp(t, m)
		result, err := m.Down(t.Context(), 2)
		want := []Migration{{3, "three"}, {2, "two"}}
		if err != nil || result.From != 3 || result.To != 1 || !slices.Equal(result.Applied, want) {
			t.Fatalf("%+v, %v", result, err)
		}
		if hasTable(t, settings, "two") || !hasTable(t, settings, "one") {
			t.Error("not the last two were reverted")
		}
		for _, n := range []int{-1, 0, 2} {
			if result, err := m.Down(t.Context(), n); err == nil || result.To != 1 {
				t.Errorf("down %d: %+v, %v", n, result, err)
			}
		}
		requireVersion(t, m, 1, false)
	})
}

func TestEnsureMigratesEmptyAndLeavesCurrent(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := migrator(settings, first(3))
		for _, want := range []Result{{From: 0, To: 3}, {From: 3, To: 3}} {
			result, err := m.Ensure(t.Context(), false)
			if err != nil || result.From != want.From || result.To != want.To || result.Backup != "" {
				t.Errorf("%+v, %v", result, err)
			}
		}
	})
}

func TestEnsureOfOlderSchemaOnSQLiteSetsCopyAside(t *testing.T) {
	settings := sqliteSettings(t)
	older, newer := migrator(settings, first(1)), migrator(settings, first(3))
	mustUp(t, older)
	var last Progress
	WithProgress(func(p Progress) {
		if p.BytesTotal > 0 {
			last = p
		}
	})(newer)
	var backups []string
	for range 2 {
		result, err := newer.Ensure(t.Context(), false)
		if err != nil || result.From != 1 || result.To != 3 {
			t.Fatalf("%+v, %v", result, err)
		}
		backups = append(backups, result.Backup)
		if _, err := newer.Down(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
	}
	if last.Doing != "copying the database aside" || last.Bytes == 0 || last.Bytes != last.BytesTotal {
		t.Errorf("the copy ended with %+v", last)
	}
	if backups[0] != settings.URL.Reveal()+".v1.bak" || backups[1] == backups[0] {
		t.Errorf("copies %q", backups)
	}
	for _, backup := range backups {
		requireVersion(t, migrator(dialect.Settings{URL: dialect.Secret(backup)}, first(3)), 1, false)
	}
}

func TestEnsureOfOlderSchemaOnPostgresWaitsToBeTold(t *testing.T) {
	settings := postgresSettings(t)
	mustUp(t, migrator(settings, first(1)))
	newer := migrator(settings, first(3))
	_, err := newer.Ensure(t.Context(), false)
	requireRefused(t, err, ErrOlder, 1, 3, "guppy migrate up")
	requireVersion(t, newer, 1, false)
	if result, err := newer.Ensure(t.Context(), true); err != nil || result.To != 3 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, first(3)))
		older := migrator(settings, first(1))
		for name, call := range changes(older) {
			result, err := call(t.Context())
			requireRefused(t, err, ErrNewer, 3, 1, "guppy migrate down --to 1")
			if result.From != 3 || result.To != 3 {
				t.Errorf("%s: %+v", name, result)
			}
		}
		requireVersion(t, older, 3, false)
	})
}

// changes are the calls that refuse a schema that is newer or dirty.
func changes(m *Migrator) map[string]func(context.Context) (Result, error) {
	return map[string]func(context.Context) (Result, error){
		"ensure":      func(ctx context.Context) (Result, error) { return m.Ensure(ctx, false) },
		"ensure auto": func(ctx context.Context) (Result, error) { return m.Ensure(ctx, true) },
		"up":          m.Up,
		"down":        func(ctx context.Context) (Result, error) { return m.Down(ctx, 1) },
	}
}

func TestDirtySchemaIsRefusedUntilForced(t *testing.T) {
	tests := map[string]struct {
		version int
		current uint
		hints   []string
	}{
		"in the middle": {2, 2, []string{"force 2 (", "force 1 (2_two", "force 3 (3_three"}},
		"at the end":    {3, 3, []string{"force 3 (", "force 2 (3_three"}},
		"first up":      {1, 1, []string{"force 1 (", "force 0 (1_one"}},
		"first down":    {-1, 0, []string{"force 0 (", "force 1 (1_one"}},
	}
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := migrator(settings, first(3))
		mustUp(t, m)
		db := openDB(t, settings)
		for name, test := range tests {
			if _, err := db.Writer.ExecContext(t.Context(),
				db.Writer.Rebind("UPDATE schema_migrations SET version = ?, dirty = ?"), test.version, true); err != nil {
				t.Fatal(err)
			}
			for _, call := range changes(m) {
				_, err := call(t.Context())
				for _, hint := range test.hints {
					requireRefused(t, err, ErrDirty, test.current, 3, hint)
				}
			}
			requireVersion(t, m, test.current, true)
			result, err := m.Force(t.Context(), 3)
			if err != nil || result.To != 3 {
				t.Fatalf("%s: force: %+v, %v", name, result, err)
			}
			requireVersion(t, m, 3, false)
		}
	})
}

func TestForce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := migrator(settings, first(3))
		mustUp(t, m)
		for _, version := range []int{-1, 4} {
			if result, err := m.Force(t.Context(), version); err == nil || result.To != 3 {
				t.Errorf("force %d: %+v, %v", version, result, err)
			}
		}
		if result, err := m.Force(t.Context(), 0); err != nil || result.From != 3 || result.To != 0 {
			t.Errorf("force 0: %+v, %v", result, err)
		}
		if status := mustStatus(t, m); !status.Empty {
			t.Errorf("status %+v", status)
		}
	})
}

func TestCancelTakesEffectBetweenMigrations(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, first(1)))
		ctx, cancel := context.WithCancel(t.Context())
		log := slog.New(cancelOnLog{slog.DiscardHandler, "migrated the database", cancel})
		result, err := migrator(settings, first(3), WithLogger(log)).Up(ctx)
		if !errors.Is(err, context.Canceled) || result.To != 2 || len(result.Applied) != 1 {
			t.Errorf("%+v, %v", result, err)
		}
		requireVersion(t, migrator(settings, first(3)), 2, false)
		if result := mustUp(t, migrator(settings, first(3))); result.From != 2 || result.To != 3 {
			t.Errorf("going on: %+v", result)
		}
	})
}

// The version table that is there without a version, or not there at all, means an empty database.
func TestEmptyVersionTable(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		execute(t, settings, createVersionTable)
		m := migrator(settings, first(3))
		if status := mustStatus(t, m); !status.Empty || status.Dirty || status.Current != 0 {
			t.Errorf("status %+v", status)
		}
		if result, err := m.Ensure(t.Context(), false); err != nil || result.To != 3 || result.Backup != "" {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

// golang-migrate's own drivers make the table in another way.
func TestVersionTableOfGolangMigrate(t *testing.T) {
	tables := map[string][]string{
		"sqlite": {
			"CREATE TABLE schema_migrations (version uint64,dirty bool)",
			"CREATE UNIQUE INDEX version_unique ON schema_migrations (version)",
		},
		"postgres": {"CREATE TABLE schema_migrations (version bigint not null primary key, dirty boolean not null)"},
	}
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		execute(t, settings, tables[openDB(t, settings).Name]...)
		m := migrator(settings, first(3))
		mustUp(t, m)
		requireVersion(t, m, 3, false)
		if _, err := m.Down(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		execute(t, settings, "INSERT INTO schema_migrations (version, dirty) VALUES (1, TRUE)")
		requireVersion(t, m, 1, true)
	})
}

// cancelOnLog cancels a context as soon as a message is logged.
type cancelOnLog struct {
	slog.Handler
	message string
	cancel  context.CancelFunc
}

func (cancelOnLog) Enabled(context.Context, slog.Level) bool { return true }

func (h cancelOnLog) Handle(_ context.Context, record slog.Record) error {
	if record.Message == h.message {
		h.cancel()
	}
	return nil
}

func TestUnknownSettingsAreAnError(t *testing.T) {
	m := New(dialect.Settings{Type: "oracle"})
	if _, err := m.Up(t.Context()); !errors.Is(err, dialect.ErrSettings) {
		t.Errorf("up: %v", err)
	}
	if _, err := m.Status(t.Context()); !errors.Is(err, dialect.ErrSettings) {
		t.Errorf("status: %v", err)
	}
}

func TestMissingMigrationsAreAnError(t *testing.T) {
	if _, err := migrator(sqliteSettings(t), os.DirFS(t.TempDir())).Up(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
