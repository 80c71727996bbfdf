//go:build long

package retrieve_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// TestALargeRoundTrip uses a file of more chunks than a node has links.
func TestALargeRoundTrip(t *testing.T) {
	roundTrip(t, enginetest.Engines()[0].Open(t), oddities(t, 1026<<20))
}
