//go:build long && linux

package storm_test

import "testing"

// TestMoreStorms continues TestStorms with more seeds.
func TestMoreStorms(t *testing.T) { rageAll(t, []uint64{quick, quick + 1, quick + 2, quick + 3}) }
