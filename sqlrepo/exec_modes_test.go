package sqlrepo_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/enginetest"
	"github.com/guppy-prep/guppy/internal/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// TestConformanceOfExecModes has statements sent in every way that the driver knows, but for the one that is the default
// and the one that is the default behind a pooler.
func TestConformanceOfExecModes(t *testing.T) {
	for _, mode := range dialect.ExecModes() {
		if mode == (dialect.Settings{}).ExecMode() || mode == (dialect.Settings{TransactionPooler: true}).ExecMode() {
			continue
		}
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			conformance.RunExamples(t, func(t *testing.T) *dialect.DB {
				return enginetest.MustOpen(t, dialect.Settings{
					URL: dialect.Secret(pgtest.URL(t)), Server: dialect.Server{ExecMode: mode},
				})
			})
		})
	}
}

// TestConformanceInSchema has a schema whose name always needs quotes.
func TestConformanceInSchema(t *testing.T) {
	t.Parallel()
	conformance.RunExamples(t, func(t *testing.T) *dialect.DB {
		settings := dialect.Settings{
			URL: dialect.Secret(pgtest.URL(t)), Server: dialect.Server{Schema: `Odd "name"`},
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
	conformance.RunExamples(t, func(t *testing.T) *dialect.DB {
		direct := pgtest.URL(t)
		enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(direct)})
		return enginetest.MustOpen(t, dialect.Settings{
			URL: dialect.Secret(bouncer.URL(direct)), TransactionPooler: true,
		})
	})
}
