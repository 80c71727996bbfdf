package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestAStoreHasOneIdentity(t *testing.T) {
	d, path := open(t)
	if marker, err := d.Marker(t.Context()); marker != "" || err != nil {
		t.Errorf("before it has one: %q, %v", marker, err)
	}

	if got := names(t, path); len(got) != 0 {
		t.Errorf("looking made %q", got)
	}

	first, err := d.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	other, err := OpenExisting(path)
	if err != nil {
		t.Fatal(err)
	}

	for _, ask := range []func(context.Context) (string, error){d.Identify, d.Marker, other.Identify, other.Marker} {
		if again, err := ask(t.Context()); again != first || len(again) < minIdentity || err != nil {
			t.Errorf("%q, %v; the identity is %q", again, err, first)
		}
	}

	if got := names(t, path); len(got) != 1 || got[0] != markerName {
		t.Errorf("the store has %q", got)
	}
}

// TestOneOfManyIdentifiesAStore identifies stores without an identity several times at once.
func TestOneOfManyIdentifiesAStore(t *testing.T) {
	for range 50 {
		d, path := open(t)
		other, err := OpenExisting(path)
		if err != nil {
			t.Fatal(err)
		}

		const many = 8
		var identities [many]string
		var errs [many]error
		var running sync.WaitGroup
		begin := make(chan struct{})

		for i := range many {
			running.Go(func() {
				<-begin
				identities[i], errs[i] = []*Directory{d, other}[i%2].Identify(t.Context())
			})
		}

		close(begin)
		running.Wait()

		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		if slices.Min(identities[:]) != slices.Max(identities[:]) {
			t.Fatalf("it has the identities %q", identities)
		}

		if got := names(t, path); len(got) != 1 || got[0] != markerName || len(unfinished(t, d, "")) != 0 {
			t.Fatalf("the store has %q", got)
		}
	}
}

func TestTwoStoresAreTold(t *testing.T) {
	a, _ := open(t)
	b, _ := open(t)
	one, err := a.Identify(t.Context())
	two, errTwo := b.Identify(t.Context())
	if one == two || err != nil || errTwo != nil {
		t.Errorf("%q and %q: %v, %v", one, two, err, errTwo)
	}
}

func TestADamagedMarkerIsNotReplaced(t *testing.T) {
	d, path := open(t)
	whole := strings.Repeat("A7", minIdentity/2) + "\n"

	for _, content := range []string{
		"", "\n", whole[:10], whole[:10] + "\n", whole[:len(whole)-1], whole + whole, strings.ToLower(whole),
		strings.Replace(whole, "7", "\x00", 1), " " + whole,
	} {
		file := filepath.Join(path, markerName)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}

		_, err := d.Marker(t.Context())
		_, errIdentify := d.Identify(t.Context())
		if !errors.Is(err, ErrDamagedMarker) || !errors.Is(errIdentify, ErrDamagedMarker) ||
			!strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v, %v", content, err, errIdentify)
		}

		if now, err := os.ReadFile(file); err != nil || string(now) != content {
			t.Errorf("%q became %q: %v", content, now, err)
		}
	}
}

func TestAStoreThatIsGoneHasNoIdentity(t *testing.T) {
	d, path := open(t)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if marker, err := d.Marker(t.Context()); marker != "" || err != nil {
		t.Errorf("%q, %v", marker, err)
	}
	if identity, err := d.Identify(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%q, %v", identity, err)
	}
}

// TestADraftOfAMarkerThatIsLeft checks that a draft is found, whatever the prefix, and removed. A file whose name
// only resembles a draft's is not.
func TestADraftOfAMarkerThatIsLeft(t *testing.T) {
	path := t.TempDir()
	d, err := OpenDirectory(path)
	noError(t, err)
	const draft, other = ".guppy-store.new-123", ".guppy-store.new-x"
	for _, name := range []string{draft, other} {
		noError(t, os.WriteFile(filepath.Join(path, name), nil, 0o600))
	}

	left, err := d.Unfinished(t.Context(), "any-")
	if err != nil || len(left) != 1 || left[0].Name != draft || left[0].Owner != "" {
		t.Fatalf("%+v, %v", left, err)
	}

	noError(t, d.Discard(t.Context(), left[0]))
	if err := d.Discard(t.Context(), Unfinished{Name: other}); err == nil {
		t.Error("another file was removed")
	}

	if left, err := d.Unfinished(t.Context(), ""); err != nil || len(left) > 0 {
		t.Errorf("%+v, %v", left, err)
	}
}
