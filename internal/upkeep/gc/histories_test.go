//go:build long

package gc_test

import (
	"math/rand/v2"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// TestRandomHistories prepares and removes uploads at random. The remaining uploads are always whole.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(6) {
		enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
			f, random := newFixture(t, db, 2), rand.New(rand.NewPCG(seed, 2))
			for range 10 {
				f.step(random)
				f.sound()
			}

			for _, upload := range f.remaining() {
				f.rm(upload.ID)
			}
			f.empty()
		})
	}
}
