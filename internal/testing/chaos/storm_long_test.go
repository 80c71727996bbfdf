//go:build long

package chaos_test

import "testing"

// TestWorkersWeatherMoreStorms continues TestWorkersWeatherAnyStorm with more seeds.
func TestWorkersWeatherMoreStorms(t *testing.T) { weatherStorms(t, quick, 5) }
