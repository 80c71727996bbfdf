package known_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
)

// check opens a store by its identity, and checks where it is or why it can't be opened.
func (f *fixture) check(stores *known.Stores, identity, url string, want error) error {
	f.Helper()
	files, err := stores.Open(f.Context(), identity)
	fails(f.T, err, want)
	if err == nil && files.URL() != url {
		f.Errorf("opened %s, want %s", files.URL(), url)
	}
	return err
}

func TestStoresAreOpenedByIdentityAndOnce(t *testing.T) {
	f := onSQLite(t)
	a, b := f.register(f.directory("a"), ""), f.register(f.directory("b"), "")
	stores := &known.Stores{Repo: f}

	for range 3 {
		must(t, f.check(stores, a.Identity, a.URL, nil))
		must(t, f.check(stores, b.Identity, b.URL, nil))
	}
	first, err := stores.Open(t.Context(), a.Identity)
	must(t, err)
	if again, err := stores.Open(t.Context(), a.Identity); err != nil || again != first {
		t.Errorf("opened %v and %v: %v", first, again, err)
	}

	// What is open stays so, whatever becomes of the row.
	must(t, f.SetStoreURL(t.Context(), a.Identity, ""))
	must(t, f.check(stores, a.Identity, a.URL, nil))
}

// TestAStoreThatIsNotWhereItShouldBe has a name, a reason and advice in each error, and is found once it is there.
func TestAStoreThatIsNotWhereItShouldBe(t *testing.T) {
	for name, tt := range map[string]struct {
		harm func(f *fixture)
		want error
		says string
	}{
		"missing": {func(*fixture) {}, store.ErrAbsent, "guppy store set photos URL"},
		"no marker": {func(f *fixture) { must(f.T, os.Mkdir(f.path("photos"), 0o700)) },
			store.ErrAbsent, "is it mounted?"},
		"another store": {func(f *fixture) {
			_, err := f.directory("photos").Identify(f.Context())
			must(f.T, err)
		}, store.ErrAbsent, "is the store "},
		"a damaged marker": {func(f *fixture) {
			f.directory("photos")
			f.write("photos/.guppy-store", "?")
		}, store.ErrDamagedMarker, ""},
		"a file": {func(f *fixture) { f.write("photos", "content") }, nil, "--store-path photos=PATH"},
	} {
		t.Run(name, func(t *testing.T) {
			f := onSQLite(t)
			row := f.register(f.directory("photos"), "")
			must(t, os.Rename(f.path("photos"), f.path("away")))
			tt.harm(f)

			stores := &known.Stores{Repo: f}
			for range 2 {
				_, err := stores.Open(t.Context(), row.Identity)
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if err != nil && (!strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), `"photos"`)) {
					t.Errorf("error %q does not say %q", err, tt.says)
				}
			}
			if _, err := os.Lstat(f.path("photos")); name == "missing" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it was made: %v", err)
			}

			must(t, errors.Join(os.RemoveAll(f.path("photos")), os.Rename(f.path("away"), f.path("photos"))))
			must(t, f.check(stores, row.Identity, row.URL, nil))
		})
	}
}

func TestAStoreOfWhichNothingIsKnown(t *testing.T) {
	f := onSQLite(t)
	row := f.register(f.directory("photos"), "")
	stores := &known.Stores{Repo: f}

	err := f.check(stores, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "", store.ErrAbsent)
	if err != nil && !strings.Contains(err.Error(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t.Errorf("error %q does not name the store", err)
	}

	must(t, f.SetStoreURL(t.Context(), row.Identity, ""))
	err = f.check(stores, row.Identity, "", store.ErrAbsent)
	if err != nil && !strings.Contains(err.Error(), "guppy store set photos URL") {
		t.Errorf("error %q has no advice", err)
	}

	// Both are looked for again.
	must(t, f.SetStoreURL(t.Context(), row.Identity, row.URL))
	must(t, f.check(stores, row.Identity, row.URL, nil))
}

// TestPlacesOfThisHost sees one store elsewhere than the repository says, and another one not at all.
func TestPlacesOfThisHost(t *testing.T) {
	f := onSQLite(t)
	seen, unseen, other := f.register(f.directory("seen"), ""), f.register(f.directory("unseen"), ""),
		f.register(f.directory("other"), "")
	must(t, os.Rename(f.path("seen"), f.path("mounted here")))
	must(t, os.Mkdir(f.path("empty"), 0o700))

	stores := &known.Stores{Repo: f, Places: map[string]string{
		seen.Identity: f.path("mounted here"), unseen.Identity: f.path("empty"),
	}}
	must(t, f.check(stores, seen.Identity, store.Place{Directory: f.path("mounted here")}.String(), nil))
	must(t, f.check(stores, other.Identity, other.URL, nil))
	f.check(stores, unseen.Identity, "", store.ErrAbsent) //nolint:errcheck // it is checked

	if rows := f.rows(); rows[1].URL != seen.URL {
		t.Errorf("the repository says now that it is at %s", rows[1].URL)
	}
}

func TestStoresWithoutIdentity(t *testing.T) {
	f := onSQLite(t)
	unnamed := f.directory("old")
	stores := &known.Stores{Repo: f, Unnamed: func(context.Context) (store.Store, error) { return unnamed, nil }}
	must(t, f.check(stores, "", unnamed.URL(), nil))
	must(t, f.check(stores, store.NoneIdentity, store.NoneURL, nil))
	if n := f.listed.Load(); n != 0 {
		t.Errorf("the repository was asked %d times", n)
	}
}

func TestManyCallersOpenAStoreOnce(t *testing.T) {
	f := onSQLite(t)
	a, b := f.register(f.directory("a"), ""), f.register(f.directory("b"), "")
	stores := &known.Stores{Repo: f}
	f.listed.Store(0)

	var group sync.WaitGroup
	opened := make([]store.Store, 16)
	for i := range opened {
		identity := []string{a.Identity, b.Identity}[i%2]
		group.Go(func() {
			files, err := stores.Open(t.Context(), identity)
			if err != nil {
				t.Error(err)
			}
			opened[i] = files
		})
	}
	group.Wait()

	for i, files := range opened {
		if files != opened[i%2] {
			t.Errorf("caller %d got another one", i)
		}
	}
	if n := f.listed.Load(); n != 2 {
		t.Errorf("the repository was asked %d times", n)
	}
}

// TestAnOpeningThatFailsIsTriedAgain also by those that waited for it.
func TestAnOpeningThatFailsIsTriedAgain(t *testing.T) {
	f := onSQLite(t)
	row := f.register(f.directory("a"), "")
	stores := &known.Stores{Repo: f}
	failure := errors.New("failure")
	f.listed.Store(0)
	f.list = func() error {
		if f.listed.Load() <= 2 {
			return failure
		}
		return nil
	}

	var group sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		group.Go(func() { _, errs[i] = stores.Open(t.Context(), row.Identity) })
	}
	group.Wait()

	failed := 0
	for _, err := range errs {
		if err != nil {
			fails(t, err, failure)
			failed++
		}
	}
	if failed != 2 || f.listed.Load() != 3 {
		t.Errorf("%d of %d failed, in %d attempts", failed, len(errs), f.listed.Load())
	}
}

// TestWaitingForAnOpeningEndsWithTheContext has the first caller wait for the repository.
func TestWaitingForAnOpeningEndsWithTheContext(t *testing.T) {
	f := onSQLite(t)
	a, b := f.register(f.directory("a"), ""), f.register(f.directory("b"), "")
	stores := &known.Stores{Repo: f}

	began, release := make(chan struct{}), make(chan struct{})
	var begun atomic.Bool
	f.list = func() error {
		if begun.CompareAndSwap(false, true) {
			close(began)
			<-release
		}
		return nil
	}

	var group sync.WaitGroup
	group.Go(func() {
		if _, err := stores.Open(t.Context(), a.Identity); err != nil {
			t.Error(err)
		}
	})
	<-began

	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	_, err := stores.Open(ctx, a.Identity)
	fails(t, err, stopped)

	// Nobody waits for another store.
	must(t, f.check(stores, b.Identity, b.URL, nil))
	close(release)
	group.Wait()
}
