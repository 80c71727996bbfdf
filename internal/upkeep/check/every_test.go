//go:build long

package check_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestEveryDamageIsNamedAndMended damages a repository in one way after the other. Each damage has its code. After a
// repair and another run everything is sound again, with the same roots as before.
func TestEveryDamageIsNamedAndMended(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.sound("at first")
		want := f.roots()
		for i, damage := range damages() {
			ok := t.Run(fmt.Sprintf("%02d %s", i, damage.code), func(t *testing.T) {
				t.Log(damage.what)
				f := *f
				f.T = t
				damage.do(&f)
				problems := f.problems()
				named := func(p check.Problem) bool { return p.Code == damage.code && !p.Note && p.Repair != "" }
				if !slices.ContainsFunc(problems, named) {
					t.Errorf("found %q", codes(problems))
				}

				did := f.repair()
				f.finish()
				f.sound("after " + strings.Join(did, "; "))
				if got := f.roots(); !slices.Equal(got, want) {
					t.Errorf("roots %q, want %q", got, want)
				}
				t.Logf("found %q; %s", codes(problems), strings.Join(did, "; "))
			})

			if !ok {
				return
			}
		}
	})
}

// TestEverythingSharedIsMendedWithoutTheSource damages content that two uploads share. One of the two may be
// removed. The source has changed since, and nothing may be scanned again: repair alone makes all sound, and no
// upload loses its root.
func TestEverythingSharedIsMendedWithoutTheSource(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		must(t, os.RemoveAll(filepath.Join(f.root, "old")))
		f.eachDamage("kept", sharedDamages())
		f.remove(1)
		f.eachDamage("removed", sharedDamages()[:8])
	})
}

func (f *fixture) eachDamage(state string, damages []damage) {
	f.Helper()
	want := f.roots()
	for i, damage := range damages {
		f.Run(fmt.Sprintf("%s %02d %s", state, i, damage.code), func(t *testing.T) {
			t.Log(damage.what)
			f := *f
			f.T = t
			damage.do(&f)
			if found := codes(f.problems()); !slices.Contains(found, damage.code) {
				t.Errorf("found %q", found)
			}

			did := strings.Join(f.repair(), "; ")
			f.sound("after " + did)
			if got := f.roots(); !slices.Equal(got, want) {
				t.Errorf("roots %q, want %q, after %s", got, want, did)
			}
		})
	}
}

// TestEveryInterruptionOfARepair interrupts a repair after each of its changes. The next repair continues it.
func TestEveryInterruptionOfARepair(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		want := f.roots()
		for after := 1; ; after++ {
			must(t, os.Remove(f.file(f.shardOf(0, sqlrepo.DAGShard))))
			must(t, os.Remove(f.file(f.shardOf(1, sqlrepo.DataShard))))

			f.execute("DELETE FROM segments WHERE entry = " + small)
			ended := f.interruptedRepair(after)
			did := f.repair()
			f.finish()
			f.sound("after " + strings.Join(did, "; "))
			if got := f.roots(); !slices.Equal(got, want) {
				t.Errorf("roots %q, want %q", got, want)
			}

			if !ended {
				return
			}
		}
	})
}

// interruptedRepair ends a repair after a number of changes, and reports whether there were as many.
func (f *fixture) interruptedRepair(after int) (ended bool) {
	f.Helper()
	failure := errors.New("enough")
	repairer := f.repairer(func(string) error {
		if after--; after == 0 {
			return failure
		}
		return nil
	})

	err := repairer.Run(f.Context())
	if err != nil && !errors.Is(err, failure) {
		f.Fatal(err)
	}
	return err != nil
}
