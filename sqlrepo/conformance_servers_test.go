//go:build long

package sqlrepo_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// TestConformanceInSchema has a schema whose name always needs quotes.
func TestConformanceInSchema(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) *dialect.DB {
		settings := dialect.Settings{
			URL: dialect.Secret(pgtest.URL(t)), Options: []any{postgres.Options{Schema: `Odd "name"`}},
		}
		if err := dialect.MakeSchema(t.Context(), settings); err != nil {
			t.Fatal(err)
		}
		return enginetest.MustOpen(t, settings)
	})
}

// TestConformanceThroughPooler migrates the database directly, as an operator may, and works through PgBouncer.
func TestConformanceThroughPooler(t *testing.T) {
	bouncer := pgtest.StartBouncer(t)
	conformance.Run(t, func(t *testing.T) *dialect.DB {
		direct := onPostgres().Migrated(t).URL.Reveal()
		return enginetest.MustOpen(t, dialect.Settings{
			URL: dialect.Secret(bouncer.URL(direct)), Options: []any{postgres.Options{TransactionPooler: true}},
		})
	})
}
