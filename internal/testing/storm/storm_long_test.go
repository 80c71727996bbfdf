//go:build long && linux

package storm_test

import "testing"

// TestMoreStorms runs the storms of the seeds after those of TestStorms.
func TestMoreStorms(t *testing.T) { rageAll(t, []uint64{quick, quick + 1, quick + 2, quick + 3}) }
