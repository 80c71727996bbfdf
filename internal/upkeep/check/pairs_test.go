//go:build long

package check_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
)

// kinds are damages that are each mended in another way, and all that can happen to a store's marker.
func kinds() (kinds []damage) {
	seen := map[string]bool{}
	for _, damage := range append(damages(), sharedDamages()...) {
		remedy := check.Remedy(damage.code)
		if damage.code == check.CodeStoreMarker || !seen[remedy] {
			kinds = append(kinds, damage)
		}
		seen[remedy] = true
	}
	return kinds
}

// pairsOfOne is the number of pairs that one repository suffers: lost content is gone from older uploads for good.
const pairsOfOne = 12

// TestEveryTwoDamages repairs pairs of damages with at most two repairs, each followed by a run. It tries all pairs
// on SQLite, and some on the other engines.
func TestEveryTwoDamages(t *testing.T) {
	t.Parallel()
	all := kinds()
	var pairs [][2]damage
	for i := range all {
		for j := i + 1; j < len(all); j++ {
			pairs = append(pairs, [2]damage{all[i], all[j]})
		}
	}

	for e, engine := range enginetest.Engines() {
		chosen := pairs
		if e > 0 {
			chosen = nil
			for i := 0; i < len(pairs); i += 10 {
				chosen = append(chosen, pairs[i])
			}
		}

		for first := 0; first < len(chosen); first += pairsOfOne {
			t.Run(fmt.Sprintf("%s/%d", engine.Name, first), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, engine.Open(t))
				f.lenient = true
				for _, pair := range chosen[first:min(first+pairsOfOne, len(chosen))] {
					f.suffer(pair[0], pair[1])
				}
			})
		}
	}
}

// suffer does two damages, and fails the test unless all is sound after at most two repairs.
func (f *fixture) suffer(one, two damage) {
	f.Helper()
	what := fmt.Sprintf("%s (%s) and %s (%s)", one.code, one.what, two.code, two.what)
	one.do(f)
	two.do(f)

	var did []string
	for range 2 {
		repairer := f.repairer(func(change string) error {
			did = append(did, change)
			return nil
		})
		if err := repairer.Run(f.Context()); err != nil {
			f.Fatalf("%s: repair: %v, after %q", what, err, did)
		}

		f.finish()
		if !slices.ContainsFunc(f.problems(), isOpen) {
			return
		}
	}

	for _, problem := range slices.DeleteFunc(f.problems(), func(p check.Problem) bool { return !isOpen(p) }) {
		f.Errorf("%s: %q: %s", what, did, problem)
	}
	if f.Failed() {
		f.FailNow()
	}
}

// isOpen reports whether a problem needs a repair.
func isOpen(p check.Problem) bool { return !p.Note }
