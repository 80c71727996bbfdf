package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func committed(t *testing.T, d *Directory) (names []string) {
	t.Helper()
	for file, err := range d.Committed(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, file.Name)
	}
	return names
}

func TestCommittedBlobsAreListedAndRemoved(t *testing.T) {
	d, path := open(t)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}

	begin(t, d, "me", "unfinished")
	if err := begin(t, d, "me", "content").Commit(t.Context(), "name.car"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(path, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}

	if got := committed(t, d); len(got) != 1 || got[0] != "name.car" {
		t.Errorf("%q", got)
	}

	for _, wrong := range []string{"", ".", "..", ".guppy-store", "../name.car", "x/name.car"} {
		if err := d.Remove(t.Context(), wrong); err == nil {
			t.Errorf("%q was removed", wrong)
		}
	}

	for range 2 { // the second time it is gone
		if err := d.Remove(t.Context(), "name.car"); err != nil {
			t.Error(err)
		}
	}

	if got := committed(t, d); len(got) != 0 || len(names(t, path)) != 3 {
		t.Errorf("%q, %q", got, names(t, path))
	}
}

// TestABlobThatWasRemovedIsNotCommittedAgain checks that a second commit reports the removal, so that nobody
// records a blob that is gone.
func TestABlobThatWasRemovedIsNotCommittedAgain(t *testing.T) {
	d, _ := open(t)
	blob := begin(t, d, "me", "content")
	for range 2 {
		if err := blob.Commit(t.Context(), "name.car"); err != nil {
			t.Fatal(err)
		}
	}

	if err := d.Remove(t.Context(), "name.car"); err != nil {
		t.Fatal(err)
	}

	if err := blob.Commit(t.Context(), "name.car"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
