package sqlrepo_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestAnyTimeComesBack also from outside of what 64 bits of nanoseconds hold.
func TestAnyTimeComesBack(t *testing.T) {
	check := func(tb rapid.TB, second, part int64) {
		var seen sqlrepo.Fingerprint
		seen.SetModified(time.Unix(second, part))
		if got := seen.Modified(); got.Unix() != second || int64(got.Nanosecond()) != part {
			tb.Errorf("%d s and %d ns come back as %d s and %d ns, by %+v", second, part, got.Unix(), got.Nanosecond(), seen)
		}
		if near := second > -9_223_372_036 && second < 9_223_372_036; near && seen.Era != 0 {
			tb.Errorf("%d s is in era %d", second, seen.Era)
		}
	}
	for _, second := range []int64{0, -1, math.MaxInt64, math.MinInt64, math.MaxInt32, math.MinInt32,
		-11_644_473_600, 15_032_385_535, 9_223_372_036, 9_223_372_037, -9_223_372_036, -9_223_372_037, -9_223_372_038} {
		for _, part := range []int64{0, 1, 854_775_807, 854_775_808, 854_775_809, 999_999_999} {
			check(t, second, part)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.Int64().Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "part"))
	})
}
