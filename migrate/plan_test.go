package migrate

import (
	"os"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// TestPlanIsWhatRuns runs the statements of plans by hand.
func TestPlanIsWhatRuns(t *testing.T) {
	forEachLong(t, func(t *testing.T, settings dialect.Settings) {
		m := New(settings)
		byHand := func(plan Plan, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			db := openDB(t, settings)
			statements := plan.Statements
			for _, s := range plan.Steps {
				for _, each := range split(s.SQL) {
					statements = append(statements, each.text)
				}
			}
			for _, statement := range statements {
				insert(t, db, strings.ReplaceAll(statement, "?", "??"))
			}
		}
		required := mustStatus(t, m).Required
		byHand(m.Plan(t.Context(), Latest()))
		requireVersion(t, m, required, false)
		made := readSchema(t, settings)
		byHand(m.Plan(t.Context(), To(1)))
		requireVersion(t, m, 1, false)
		byHand(m.Plan(t.Context(), DownBy(1)))
		requireVersion(t, m, 0, false)
		byHand(m.PlanForce(t.Context(), 2))
		requireVersion(t, m, 2, false)
		byHand(m.PlanForce(t.Context(), 0))
		mustUp(t, m)
		requireEqual(t, readSchema(t, settings), made)
	})
}

func TestPlanChangesNothing(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		m := New(settings)
		for range 2 {
			plan, err := m.Plan(t.Context(), Latest())
			if err != nil || plan.From != 0 || plan.To != 9 || len(plan.Steps) != 9 || len(plan.Statements) != 1 ||
				plan.Reverts() {
				t.Fatalf("%+v, %v", plan, err)
			}
			if status := mustStatus(t, m); !status.Empty || len(status.Pending) != 9 {
				t.Errorf("status %+v", status)
			}
		}
		if force, err := m.PlanForce(t.Context(), 2); err != nil || len(force.Statements) != 3 || force.To != 2 {
			t.Errorf("%+v, %v", force, err)
		}
		if _, err := os.Stat(settings.URL.Reveal()); err == nil {
			t.Error("planning made the database")
		}
		mustUp(t, m)
		plan, err := m.Plan(t.Context(), Latest())
		if err != nil || plan.From != 9 || plan.To != 9 || len(plan.Statements) != 0 {
			t.Errorf("%+v, %v", plan, err)
		}
	})
}

func TestPlanRefusesWhatWouldBeRefused(t *testing.T) {
	settings := sqliteSettings(t)
	mustUp(t, migrator(settings, first(3)))
	_, err := migrator(settings, first(1)).Plan(t.Context(), Latest())
	requireRefused(t, err, ErrNewer, 3, 1, "guppy migrate down --to 1")
	execute(t, settings, "UPDATE schema_migrations SET dirty = TRUE")
	_, err = migrator(settings, first(3)).Plan(t.Context(), DownBy(1))
	requireRefused(t, err, ErrDirty, 3, 3, "guppy migrate force 3")
}
