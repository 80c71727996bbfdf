package sqlrepo_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// TestConformance also looks at the text of each statement that reaches an engine. SQLite would understand "$1".
func TestConformance(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			t.Parallel()
			var recorder enginetest.Recorder
			conformance.Run(t, func(t *testing.T) *dialect.DB {
				return engine.Record(t, &recorder)
			})
			checkPlaceholders(t, engine.Name, recorder.Statements())
		})
	}
}

func onPostgres() enginetest.Engine { return enginetest.Engines()[1] }
