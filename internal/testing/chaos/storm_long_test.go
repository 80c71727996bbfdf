//go:build long

package chaos_test

import "testing"

// TestWorkersWeatherMoreStorms has the storms of the seeds after those of TestWorkersWeatherAnyStorm.
func TestWorkersWeatherMoreStorms(t *testing.T) { weatherStorms(t, quick, 5) }
