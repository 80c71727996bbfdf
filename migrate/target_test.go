package migrate

import (
	"errors"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func TestTargets(t *testing.T) {
	forEachLong(t, func(t *testing.T, settings dialect.Settings) {
		m := migrator(settings, first(3))
		for _, tt := range []struct {
			target   Target
			from, to uint
			ran      int
		}{
			{UpTo(0), 0, 0, 0}, {UpTo(2), 0, 2, 2}, {UpTo(2), 2, 2, 0}, {To(3), 2, 3, 1}, {To(1), 3, 1, 2}, {DownTo(1), 1, 1, 0},
			{Latest(), 1, 3, 2}, {DownBy(1), 3, 2, 1}, {DownTo(1), 2, 1, 1}, {To(1), 1, 1, 0}, {DownBy(1), 1, 0, 1},
		} {
			result, err := m.Migrate(t.Context(), tt.target)
			if err != nil || result.From != tt.from || result.To != tt.to || len(result.Applied) != tt.ran {
				t.Fatalf("%+v: %+v, %v", tt, result, err)
			}
			requireVersion(t, m, tt.to, false)
		}
	})
}

func TestTargetsThatCannotBe(t *testing.T) {
	settings := sqliteSettings(t)
	m := migrator(settings, first(3))
	if _, err := m.Migrate(t.Context(), DownBy(1)); !errors.Is(err, ErrTarget) {
		t.Errorf("down from nothing: %v", err)
	}
	if _, err := m.Migrate(t.Context(), UpTo(2)); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]Target{
		"up to before": UpTo(1), "down to later": DownTo(3), "unknown": To(4), "up to unknown": UpTo(9), "none": DownBy(0),
		"too many": DownBy(3), "negative": DownBy(-1),
	} {
		if result, err := m.Migrate(t.Context(), target); !errors.Is(err, ErrTarget) || result.To != 2 {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
		if _, err := m.Plan(t.Context(), target); !errors.Is(err, ErrTarget) {
			t.Errorf("plan of %s: %v", name, err)
		}
	}
	if _, err := m.PlanForce(t.Context(), 4); !errors.Is(err, ErrTarget) {
		t.Errorf("plan of force: %v", err)
	}
	requireVersion(t, m, 2, false)
}

// TestEachVersionIsTheSameOnTheWayBack walks up and down step by step, and compares the engines at each version.
func TestEachVersionIsTheSameOnTheWayBack(t *testing.T) {
	sqlite, postgres := walkUpAndDown(t, sqliteSettings(t)), walkUpAndDown(t, postgresSettings(t))
	for version, got := range postgres {
		requireEqual(t, got, sqlite[version])
	}
}

// walkUpAndDown returns the schemas of all versions, which have to be the same on the way down.
func walkUpAndDown(t *testing.T, settings dialect.Settings) (up []schema) {
	t.Helper()
	m := New(settings)
	required := mustStatus(t, m).Required
	for version := range required + 1 {
		if _, err := m.Migrate(t.Context(), UpTo(version)); err != nil {
			t.Fatal(err)
		}
		up = append(up, readSchema(t, settings))
	}

	for version := required; version > 0; version-- {
		requireEqual(t, readSchema(t, settings), up[version])
		if _, err := m.Migrate(t.Context(), DownBy(1)); err != nil {
			t.Fatal(err)
		}
	}

	mustUp(t, m)
	requireEqual(t, readSchema(t, settings), up[required])
	return up
}
