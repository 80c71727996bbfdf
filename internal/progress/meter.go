package progress

import (
	"math"
	"time"
)

// Meter smooths a rate over samples. The zero value has no sample yet.
type Meter struct {
	last  time.Time
	bytes int64
	rate  float64
	timed bool
}

// steady is the time after which most of a change of the rate has taken effect.
const steady = 10 * time.Second

// Start starts the meter with a known rate.
func (m *Meter) Start(now time.Time, bytes int64, rate float64) {
	*m = Meter{last: now, bytes: bytes, rate: rate, timed: true}
}

// Sample adds a sample of the number of bytes, and returns the rate in bytes per second. The rate of the first
// sample is 0. Fewer bytes than before, because work was given back, count as no progress.
func (m *Meter) Sample(now time.Time, bytes int64) float64 {
	elapsed := now.Sub(m.last).Seconds()

	switch {
	case m.last.IsZero():
		m.last, m.bytes = now, bytes
		return 0
	case elapsed <= 0:
		return m.rate
	}

	current := max(0, float64(bytes-m.bytes)) / elapsed
	weight := 1 - math.Exp(-elapsed/steady.Seconds())

	// The first interval sets the rate, without smoothing.
	if !m.timed {
		weight, m.timed = 1, true
	}

	m.rate += weight * (current - m.rate)
	m.last, m.bytes = now, bytes
	return m.rate
}
