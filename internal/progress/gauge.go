package progress

import (
	"cmp"
	"time"
)

// Gauge measures how fast work goes on, from one look at it to the next. It is not safe for concurrent use.
type Gauge struct {
	source Source
	meters map[string]*meter
}

// meter measures one state. What is done when its total becomes known was done before, perhaps by others.
type meter struct {
	Meter
	total bool
}

// NewGauge returns a gauge for some work.
func NewGauge(source Source) *Gauge { return &Gauge{source: source, meters: map[string]*meter{}} }

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
	seen := map[string]*meter{}
	reading := g.read(now, "", g.source(), seen)

	// What has ended, and may begin again, is measured afresh.
	g.meters = seen
	return reading
}

func (g *Gauge) read(now time.Time, path string, state State, seen map[string]*meter) Reading {
	path += "/" + cmp.Or(state.Work, state.Doing)
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

	reading := Reading{State: state, Rate: measured.Sample(now, done), Left: -1}
	if total && rest >= 0 && reading.Rate >= slowest {
		reading.Left = duration(float64(rest) / reading.Rate)
	}

	for _, part := range state.Parts {
		reading.Parts = append(reading.Parts, g.read(now, path, part, seen))
	}
	return reading
}

// slowest is the rate below which work stands still: nobody can say when it ends.
const slowest = 0.01

func (s State) countsBytes() bool { return s.Bytes > 0 || s.BytesTotal > 0 }
