package progress

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAMeterStaysWithinWhatItSaw checks that the rate never exceeds the fastest sample, and that it approaches a
// steady rate.
func TestAMeterStaysWithinWhatItSaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Meter
		now, bytes, fastest, rate := time.Unix(1, 0), int64(0), 0.0, m.Sample(time.Unix(1, 0), 0)
		if rate != 0 {
			t.Fatalf("the first sample gave %f", rate)
		}

		step := func(seconds float64, more int64) {
			before := now
			now = now.Add(time.Duration(seconds * float64(time.Second)))
			bytes += more
			fastest = max(fastest, float64(more)/now.Sub(before).Seconds())
			rate = m.Sample(now, bytes)
		}

		for range rapid.IntRange(1, 20).Draw(t, "samples") {
			step(rapid.Float64Range(0.1, 60).Draw(t, "seconds"), rapid.Int64Range(-1<<30, 1<<40).Draw(t, "bytes"))
			if rate < 0 || rate > fastest*1.000001 {
				t.Fatalf("a rate of %f, the fastest was %f", rate, fastest)
			}
		}

		for range 200 {
			step(2, 2000)
		}
		if math.Abs(rate-1000) > 1 {
			t.Fatalf("a rate of %f where 1000 stayed", rate)
		}
	})
}

func TestAMeterKeepsTheRateThatItStartedWith(t *testing.T) {
	var m Meter
	now := time.Unix(1, 0)
	m.Start(now, 50, 100)
	if rate := m.Sample(now, 90); rate != 100 {
		t.Errorf("at the same time: %f", rate)
	}
	if rate := m.Sample(now.Add(time.Second), 150); rate != 100 {
		t.Errorf("a second later: %f", rate)
	}
}
