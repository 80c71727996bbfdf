package progress

import (
	"cmp"
	"time"
)

// Gauge measures how fast work goes on, from one look at it to the next. It is not safe for concurrent use.
type Gauge struct {
	source Source
	period time.Duration
	last   time.Time
	meters map[string]*meter
}

// patience is how much later than usual a look may come. After a longer time, the process was probably stopped.
const patience = 5 * time.Second

// meter measures one state. What is done when its total becomes known was done before, perhaps by others.
type meter struct {
	Meter
	total bool
}

// NewGauge returns a gauge for some work that is looked at once in a period.
func NewGauge(source Source, period time.Duration) *Gauge {
	return &Gauge{source: source, period: period, meters: map[string]*meter{}}
}

// Reading is a state with what was measured.
type Reading struct {
	State
	// Rate is in bytes a second, or in items a second if no bytes are counted.
	Rate float64
	// Left is the time that the rest takes at this rate, or negative if that is unknown.
	Left time.Duration
	// Parts are the readings of State.Parts.
	Parts []Reading
}

// Read returns the present state, and the rates since the looks before.
func (g *Gauge) Read(now time.Time) Reading {
	// A time in which nobody looked says nothing about the rate at present.
	if now.Sub(g.last) > g.period+patience {
		clear(g.meters)
	}
	g.last = now

	seen := map[string]*meter{}
	reading := g.read(now, "", g.source(), seen)

	// What has ended, and may begin again, is measured afresh.
	g.meters = seen
	return reading
}

func (g *Gauge) read(now time.Time, path string, state State, seen map[string]*meter) Reading {
	path += "/" + cmp.Or(state.Work, state.Doing)
	reading := Reading{State: state, Left: -1}
	if !state.Paused {
		reading.Rate, reading.Left = g.measure(now, path, state, seen)
	}
	for _, part := range state.Parts {
		reading.Parts = append(reading.Parts, g.read(now, path, part, seen))
	}
	return reading
}

// measure returns the rate of a state, and the time that is left, or a negative one. What is finished has neither.
func (g *Gauge) measure(now time.Time, path string, state State, seen map[string]*meter) (rate float64,
	left time.Duration) {
	_, total := state.Fraction()
	measured := g.meters[path]
	if measured == nil || total && !measured.total {
		measured = &meter{total: total}
	}
	seen[path] = measured

	done, rest := state.Bytes, state.BytesTotal-state.Bytes
	if !state.countsBytes() {
		done, rest = state.Items, state.ItemsTotal-state.Items
	}

	rate = measured.Sample(now, done)
	switch {
	case !total || rate < slowest && rest > 0:
		return rate, -1
	case rest <= 0:
		return 0, -1
	}
	return rate, duration(float64(rest) / rate)
}

// slowest is the rate below which work stands still: nobody can say when it ends.
const slowest = 0.01

func (s State) countsBytes() bool { return s.Bytes > 0 || s.BytesTotal > 0 }
