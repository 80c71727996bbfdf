package check

import (
	"math"
	"math/rand/v2"
)

// sample chooses a percentage of a known number of things, one after the other. All sets of the chosen size are
// equally likely.
type sample struct {
	all          bool
	wanted, left int64
}

func newSample(of int64, percent float64) *sample {
	return &sample{all: percent >= 100, wanted: int64(math.Ceil(float64(of) * percent / 100)), left: of}
}

// take reports whether the next thing is chosen.
func (s *sample) take() bool {
	chosen := s.all || s.wanted > 0 && s.left > 0 && rand.Int64N(s.left) < s.wanted
	s.left--
	if chosen {
		s.wanted--
	}
	return chosen
}
