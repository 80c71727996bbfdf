//go:build long

package backup_test

import "testing"

// TestEachFlippedBitIsFound flips bits of all pages.
func TestEachFlippedBitIsFound(t *testing.T) { flipBits(t, 1) }
