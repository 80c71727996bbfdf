package store

import (
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

var owners = rapid.StringMatching(`[A-Za-z0-9.-]{1,20}`)

// TestAnOwnerIsFoundInItsFilesName makes files in the way of Create.
func TestAnOwnerIsFoundInItsFilesName(t *testing.T) {
	path := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		owner := owners.Draw(t, "owner")
		pattern, err := temporaryPattern(owner)
		if err != nil {
			t.Fatal(err)
		}

		file, err := os.CreateTemp(path, pattern)
		if err != nil {
			t.Fatal(err)
		}

		_, _ = file.Close(), os.Remove(file.Name())
		if got, ok := temporaryOwner(filepath.Base(file.Name())); !ok || got != owner {
			t.Errorf("%s is of %q, %t; want %q", file.Name(), got, ok, owner)
		}
	})
}

func TestNamesOfOtherFiles(t *testing.T) {
	for _, name := range []string{
		"", ".guppy-", ".guppy-store", ".guppy-store.new-12", ".guppy-me-12", ".guppy-me-.tmp", ".guppy-me.tmp",
		".guppy--12.tmp", ".guppy-me-1x.tmp", ".guppy-me-12.tmp~", "guppy-me-12.tmp", ".guppy-a/b-12.tmp", ".tmp",
		".guppy-.tmp", "bagba.car", ".guppy-me*-12.tmp",
	} {
		if owner, ok := temporaryOwner(name); ok {
			t.Errorf("%q is taken for a temporary file of %q", name, owner)
		}
	}
}

func TestAStrangeOwnerIsRefused(t *testing.T) {
	d, path := open(t)
	for _, owner := range []string{"", "a/b", "a*b", "a b", "é", "a\x00", "did:key"} {
		if blob, err := d.Create(t.Context(), owner); err == nil {
			t.Errorf("%q may own %v", owner, blob)
		}
	}
	if got := names(t, path); len(got) != 0 {
		t.Errorf("made %q", got)
	}
}

func FuzzTemporaryOwner(f *testing.F) {
	f.Add(".guppy-z6Mk-7-w-1-123456.tmp")
	f.Add(".guppy--.tmp")
	f.Fuzz(func(t *testing.T, name string) {
		owner, ok := temporaryOwner(name)
		if !ok {
			return
		}
		if _, err := temporaryPattern(owner); err != nil || filepath.Base(name) != name {
			t.Errorf("%q is taken for a temporary file of %q: %v", name, owner, err)
		}
	})
}
