//go:build long

package sqlrepo_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

func TestConformanceOfHistories(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			t.Parallel()
			conformance.RunHistories(t, func(t *testing.T) *dialect.DB { return engine.Open(t) })
		})
	}
}
