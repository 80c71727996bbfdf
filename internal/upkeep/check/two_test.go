package check_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestTwoDamages does two damages at once, a few times. The result is sound after a repair, a run, and at most one
// more of each.
func TestTwoDamages(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.lenient = true
		all := append(damages(), sharedDamages()...)
		random := rand.New(rand.NewPCG(1, 2))
		for range 4 {
			one, two := all[random.IntN(len(all))], all[random.IntN(len(all))]
			one.do(f)
			two.do(f)
			did := f.repair()
			f.finish()
			did = append(did, f.repair()...)
			f.finish()
			f.sound(fmt.Sprintf("%s and %s: %q", one.what, two.what, did))
			if state := f.uploads[len(f.uploads)-1].State; state != sqlrepo.Complete {
				t.Fatalf("%s and %s: the upload is %s, after %q", one.what, two.what, state, did)
			}
		}
	})
}
