package check_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestALostMarkerAndDamagedRows repairs both at once: the store gets its identity back before anything is made again
// from its files.
func TestALostMarkerAndDamagedRows(t *testing.T) {
	t.Parallel()
	f := newFixture(t, enginetest.Engines()[0].Open(t))
	want := f.roots()
	for _, damage := range damages() {
		if damage.code != check.CodeStoreMarker {
			continue
		}

		f.execute("DELETE FROM nodes WHERE shard = " + dataShard)
		damage.do(f)
		did := f.repair()
		f.sound(fmt.Sprintf("after %q", did))
		if got := f.roots(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("roots %q, want %q", got, want)
		}
	}
}

// TestAStoreOfSeveral: a store gets its own identity back, although the uploads know other stores too. What is in those
// is not given up.
func TestAStoreOfSeveral(t *testing.T) {
	t.Parallel()
	f := newFixture(t, enginetest.Engines()[0].Open(t))
	marker, err := f.job.Store.Marker(t.Context())
	must(t, err)

	other, err := f.repo.AddStore(t.Context(), sqlrepo.Store{Identity: "OTHERSTOREOTHERSTOREOTHERST", Name: "other"})
	must(t, err)
	f.execute("UPDATE uploads SET store = ? WHERE id = 1", other.Identity)
	for _, damage := range fileDamages() {
		if damage.code == check.CodeStoreMarker {
			damage.do(f)
			break
		}
	}

	// The later upload shares content with the one whose store is away.
	repairer := f.repairer(func(string) error { return nil })
	repairer.GiveUp = false
	if err := repairer.Run(t.Context()); !errors.Is(err, check.ErrStoreUnknown) {
		t.Errorf("one store is away: %v", err)
	}
	if now, err := f.job.Store.Marker(t.Context()); err != nil || now != marker {
		t.Errorf("the marker is %q: %v", now, err)
	}
	if got := codes(f.problems()); !slices.Contains(got, check.CodeStoreElsewhere) {
		t.Errorf("found %q", got)
	}

	f.execute("UPDATE uploads SET store = ? WHERE id = 1", marker)
	must(t, f.repo.RemoveStore(t.Context(), other.Identity))
	f.repair()
	f.sound("with one store")
	if state := f.uploads[len(f.uploads)-1].State; state != sqlrepo.Complete {
		t.Errorf("the upload is %s", state)
	}
}
