package check

import (
	"testing"

	"pgregory.net/rapid"
)

// TestSamplesHaveTheirSize takes samples of any size of any number of things.
func TestSamplesHaveTheirSize(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		of := rapid.Int64Range(0, 300).Draw(rt, "of")
		percent := rapid.SampledFrom([]float64{0, 0.1, 1, 10, 33.3, 50, 99.9, 100}).Draw(rt, "percent")
		sample, taken := newSampler(of, percent), 0.0
		for range of {
			if sample.includesNext() {
				taken++
			}
		}

		least := float64(of) * percent / 100
		if taken < least || taken >= least+1 {
			rt.Errorf("%g of %d are %g%%", taken, of, percent)
		}
	})
}

// TestEachIsAsLikely takes one of four many times.
func TestEachIsAsLikely(t *testing.T) {
	t.Parallel()
	var times [4]int
	for range 10_000 {
		sample := newSampler(4, 25)
		for i := range times {
			if sample.includesNext() {
				times[i]++
			}
		}
	}

	for i, n := range times {
		if n < 2000 || n > 3000 {
			t.Errorf("number %d was taken %d times in 10000", i, n)
		}
	}
}
