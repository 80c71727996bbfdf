//go:build long

package sqlrepo_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// TestEveryExecMode has statements sent in every way that the driver knows, but for the default.
func TestEveryExecMode(t *testing.T) {
	for _, mode := range postgres.ExecModes() {
		if mode == postgres.ExecMode(dialect.Settings{}) {
			continue
		}
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T) *dialect.DB {
				settings := onPostgres().Migrated(t)
				return enginetest.MustOpen(t, dialect.WithOptions(settings, postgres.Options{ExecMode: mode}))
			})
		})
	}
}
