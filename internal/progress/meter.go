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

// steady is the time after which a change of the rate shows for the most part.
const steady = 10 * time.Second

// Start has the meter begin at a rate that is known.
func (m *Meter) Start(now time.Time, bytes int64, rate float64) {
	*m = Meter{last: now, bytes: bytes, rate: rate, timed: true}
}

// Sample takes in how many bytes there are now, and returns bytes a second: 0 with the first sample. Bytes that are
// fewer than before, since work was given back, count as none.
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
	if !m.timed {
		weight, m.timed = 1, true
	}
	m.rate += weight * (current - m.rate)
	m.last, m.bytes = now, bytes
	return m.rate
}
