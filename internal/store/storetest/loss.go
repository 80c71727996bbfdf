package storetest

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/guppy-prep/guppy/internal/store"
)

// envLossStride names the variable with the distance of the steps at which a store is lost.
const envLossStride = "GUPPY_TEST_HEAL_STRIDE"

// Loss is a store and its replica, one of which is lost at a step of what is done with them.
type Loss struct {
	Store, Replica store.Store
	// Lost is the one of them that is lost.
	Lost *Vanishing
}

// OfReplica reports whether the replica is the one that is lost.
func (l Loss) OfReplica() bool { return l.Replica == store.Store(l.Lost) }

// String says what is lost, and when.
func (l Loss) String() string {
	what := "the store"
	if l.OfReplica() {
		what = "the replica"
	}
	return fmt.Sprintf("%s lost at step %d, late %t", what, l.Lost.At, l.Lost.Late)
}

// EachLoss calls operate once for each step that it takes in a store, and each in its replica, with the one that is
// lost there: before the step is carried out, and once more with only its answer lost. Steps are left out unless the
// environment asks for all.
func EachLoss(tb testing.TB, origin, replica store.Store, operate func(loss Loss)) {
	tb.Helper()
	stride := Number(tb, envLossStride, lossStride)
	first := uint64(1)
	for _, ofReplica := range []bool{false, true} {
		for _, late := range []bool{false, true} {
			for k, lost := first, true; lost; k += stride {
				loss := Loss{Store: origin, Replica: replica, Lost: &Vanishing{At: int64(k), Late: late}}
				if ofReplica {
					loss.Lost.Store, loss.Replica = replica, loss.Lost
				} else {
					loss.Lost.Store, loss.Store = origin, loss.Lost
				}
				operate(loss)
				lost = loss.Lost.Lost()
			}
			first++ // if steps are left out, then others each time
		}
	}
}

// Number returns the number in a variable of the environment, or the usual one.
func Number(tb testing.TB, variable string, usual uint64) uint64 {
	tb.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil || number == 0 {
		tb.Fatalf("%s: %q is not a number: %v", variable, text, err)
	}
	return number
}
