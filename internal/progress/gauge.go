package progress

import "time"

// Gauge measures how fast work goes on, from one look at it to the next. It is not safe for concurrent use.
type Gauge struct {
	source Source
	meters map[string]*Meter
}

// NewGauge returns a gauge for some work.
func NewGauge(source Source) *Gauge { return &Gauge{source: source, meters: map[string]*Meter{}} }

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
	seen := map[string]*Meter{}
	reading := g.read(now, "", g.source(), seen)

	// What has ended, and may begin again, is measured anew.
	g.meters = seen
	return reading
}

func (g *Gauge) read(now time.Time, path string, state State, seen map[string]*Meter) Reading {
	path += "/" + state.Doing
	meter := g.meters[path]
	if meter == nil {
		meter = &Meter{}
	}
	seen[path] = meter

	done, rest := state.Bytes, state.BytesTotal-state.Bytes
	if !state.countsBytes() {
		done, rest = state.Items, state.ItemsTotal-state.Items
	}

	reading := Reading{State: state, Rate: meter.Sample(now, done), Left: -1}
	if rest >= 0 && reading.Rate >= slowest {
		reading.Left = duration(float64(rest) / reading.Rate)
	}
	if _, known := state.Fraction(); !known {
		reading.Left = -1
	}

	for _, part := range state.Parts {
		reading.Parts = append(reading.Parts, g.read(now, path, part, seen))
	}
	return reading
}

// slowest is the rate below which work stands still: nobody can say when it ends.
const slowest = 0.01

func (s State) countsBytes() bool { return s.Bytes > 0 || s.BytesTotal > 0 }
