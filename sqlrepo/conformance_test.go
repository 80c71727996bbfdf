package sqlrepo_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// recorded replaces the handles of a database, by its engine's name, with ones that record each statement.
var recorded = map[string]func(*testing.T, *dialect.DB, *recorder){
	"sqlite":   recordSQLite,
	"postgres": recordPostgres,
}

// TestConformance also looks at the text of each statement that reaches an engine. SQLite would understand "$1".
func TestConformance(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			t.Parallel()
			var statements recorder
			conformance.Run(t, func(t *testing.T) *dialect.DB {
				db := *engine.Open(t)
				recorded[engine.Name](t, &db, &statements)
				return &db
			})
			statements.check(t, engine.Name)
		})
	}
}
