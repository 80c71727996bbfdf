package storetest

import (
	"maps"
	"slices"
	"sync"

	"github.com/guppy-prep/guppy/internal/store"
)

func (f *fixture) identify(s store.Store) string {
	f.Helper()
	identity, err := s.Identify(f.Context())
	f.must(err)
	return identity
}

// oneIdentity tests that processes that identify a new store at the same time agree, and that two stores differ.
func (f *fixture) oneIdentity() {
	marker, err := f.Marker(f.Context())
	f.checkError("marker", err, nil)
	if marker != f.Identity {
		f.Errorf("before it has one, its identity is %q", marker)
	}

	var running sync.WaitGroup
	var mu sync.Mutex
	// All processes wait for begin, so that they identify the store at the same time.
	begin, seen := make(chan struct{}), map[string]bool{}
	for range 8 {
		running.Go(func() {
			from := f.open()
			<-begin
			identity, err := from.Identify(f.Context())
			mu.Lock()
			defer mu.Unlock()
			f.checkError("identify", err, nil)
			seen[identity] = true
		})
	}

	close(begin)
	running.Wait()

	identity := f.identify(f.Store)
	if marker, err := f.open().Marker(f.Context()); len(seen) != 1 || !seen[identity] || marker != identity || err != nil {
		f.Errorf("it has the identities %v, %q and %q: %v", slices.Collect(maps.Keys(seen)), identity, marker, err)
	}

	f.checkListed(nil)
	f.checkUnfinished("", 0)

	other := &fixture{T: f.T, Subject: f.Subject, Store: f.New(f.T)()}
	if got := other.identify(other.Store); (got == identity) != (f.Identity != "") {
		f.Errorf("two stores have the identities %q and %q", got, identity)
	}
}

func (f *fixture) markGivesNoOther() {
	identity := f.identify(f.Store)
	if err := f.Mark(f.Context(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); err == nil {
		f.Error("it got another identity")
	}

	if got := f.identify(f.open()); got != identity {
		f.Errorf("its identity is %q, and was %q", got, identity)
	}

	if f.Identity != "" {
		return
	}

	// A store without an identity takes any.
	fresh := f.New(f.T)()
	f.must(fresh.Mark(f.Context(), identity))
	if got := f.identify(fresh); got != identity {
		f.Errorf("marked with %q, its identity is %q", identity, got)
	}
}
