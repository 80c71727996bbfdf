//go:build long

package migrate

import (
	"math"
	"testing"
)

// TestNoEmbeddedFileEndsItsTransaction lets all files fail.
func TestNoEmbeddedFileEndsItsTransaction(t *testing.T) { failEmbedded(t, math.MaxInt) }
