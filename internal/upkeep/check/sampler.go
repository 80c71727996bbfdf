package check

import (
	"math"
	"math/rand/v2"
)

// sampler chooses a percentage of a known number of things, one after the other. All sets of the chosen size are
// equally likely.
type sampler struct {
	all          bool
	wanted, left int64
}

func newSampler(of int64, percent float64) *sampler {
	return &sampler{all: percent >= 100, wanted: int64(math.Ceil(float64(of) * percent / 100)), left: of}
}

// includesNext reports whether the next thing is chosen.
func (s *sampler) includesNext() bool {
	chosen := s.all || s.wanted > 0 && s.left > 0 && rand.Int64N(s.left) < s.wanted
	s.left--
	if chosen {
		s.wanted--
	}
	return chosen
}
