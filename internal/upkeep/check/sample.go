package check

import (
	"math"
	"math/rand/v2"
)

// sample chooses, one after the other, as many of a known number of things as a percentage of them is, each set of that
// size as likely as any other.
type sample struct {
	all          bool
	wanted, left int64
}

func newSample(of int64, percent float64) *sample {
	return &sample{all: percent >= 100, wanted: int64(math.Ceil(float64(of) * percent / 100)), left: of}
}

// take tells whether the next one is chosen.
func (s *sample) take() bool {
	chosen := s.all || s.wanted > 0 && s.left > 0 && rand.Int64N(s.left) < s.wanted
	s.left--
	if chosen {
		s.wanted--
	}
	return chosen
}
