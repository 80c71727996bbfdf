package storetest

import (
	"io/fs"
	"strings"

	"github.com/guppy-prep/guppy/internal/store"
)

func (f *fixture) checkUnfinished(prefix string, want int) []store.Unfinished {
	f.Helper()
	found, err := f.Unfinished(f.Context(), prefix)
	f.must(err)
	if !f.Keeps {
		want = 0
	}
	if len(found) != want {
		f.Errorf("%d are unfinished of %q, want %d: %v", len(found), prefix, want, found)
	}
	return found
}

func (f *fixture) unfinishedByOwner() {
	for _, owner := range []string{"me-1", "me-1", "me-11", "you-1"} {
		f.stage(owner, "name.car", random(large))
	}

	f.commit("kept.car", random(large))

	for prefix, want := range map[string]int{"me-": 3, "me-1": 3, "me-11": 1, "he": 0} {
		for _, found := range f.checkUnfinished(prefix, want) {
			if !strings.HasPrefix(found.Owner, prefix) {
				f.Errorf("%+v is unfinished of %q", found, prefix)
			}
		}
	}

	elsewhere := f.open()
	for _, found := range f.checkUnfinished("me-1", 3) {
		for range 2 { // the second time it is gone
			f.must(elsewhere.Discard(f.Context(), found))
		}
	}

	f.checkUnfinished("me-1", 0)
	f.checkUnfinished("you-", 1)
	f.checkListed(map[string]int64{"kept.car": large})
}

func (f *fixture) discardTakesNothingElse() {
	f.commit("kept.car", random(5))
	f.stage("other", "name.car", random(large))
	f.identify(f.Store)

	name := "other.tmp"
	for _, found := range f.checkUnfinished("other", 1) {
		name = found.Name
	}

	// These are committed blobs, blobs of other owners, files outside the store and the marker.
	for _, wrong := range []store.Unfinished{
		{}, {Owner: "me", Name: "kept.car"}, {Owner: "me", Name: name}, {Owner: "outside", Name: "../outside-1.tmp"},
		{Owner: "..", Name: ".guppy-../outside-1.tmp"}, {Owner: "store", Name: ".guppy-store"}, {Name: "kept.car"},
		{Name: ".guppy-store"},
	} {
		if err := f.Discard(f.Context(), wrong); err == nil {
			f.Errorf("discarded %+v", wrong)
		}
	}

	f.checkListed(map[string]int64{"kept.car": 5})
	f.checkUnfinished("other", 1)
}

// commitAfterDiscard tests that a commit reports that somebody else took the blob for abandoned.
func (f *fixture) commitAfterDiscard() {
	if !f.Keeps {
		return // there is nothing to discard
	}

	blob := f.stage("me", "name.car", random(large))
	for _, found := range f.checkUnfinished("me", 1) {
		f.must(f.Discard(f.Context(), found))
	}

	for range 2 {
		err := blob.Commit(f.Context(), "name.car")
		f.checkError("commit", err, fs.ErrNotExist)
	}

	f.must(blob.Abort())
	f.checkListed(nil)
	f.checkUnfinished("", 0)
}
