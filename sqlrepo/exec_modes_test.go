//go:build long

package sqlrepo_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// TestEveryExecMode has statements sent in every way that the driver knows, but for the one that is the default
// and the one that is the default behind a pooler.
func TestEveryExecMode(t *testing.T) {
	for _, mode := range dialect.ExecModes() {
		if mode == (dialect.Settings{}).ExecMode() || mode == (dialect.Settings{TransactionPooler: true}).ExecMode() {
			continue
		}
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			conformance.RunExamples(t, func(t *testing.T) *dialect.DB {
				settings := postgres().Migrated(t)
				settings.Server.ExecMode = mode
				return enginetest.MustOpen(t, settings)
			})
		})
	}
}
