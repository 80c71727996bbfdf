package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestAStoreThatVanishes lets the path of a store lead to another directory between two steps, as after an unmount.
// Nothing is put there, and the blob can be committed once the store is back.
func TestAStoreThatVanishes(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, path string){
		"nothing":            func(*testing.T, string) {},
		"an empty directory": func(t *testing.T, path string) { check(t, os.Mkdir(path, 0o700)) },
		"another store": func(t *testing.T, path string) {
			other, err := OpenDirectory(path)
			check(t, err)
			_, err = other.Identify(t.Context())
			check(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, path := open(t)
			_, err := d.Identify(t.Context())
			check(t, err)
			blob := begin(t, d, "me", "content")

			check(t, os.Rename(path, path+".away"))
			replace(t, path)
			if _, err := d.Create(t.Context(), "me"); !errors.Is(err, ErrAbsent) {
				t.Errorf("begun: %v", err)
			}
			if err := blob.Commit(t.Context(), "name.car"); !errors.Is(err, ErrAbsent) {
				t.Errorf("committed: %v", err)
			}
			if _, err := os.Lstat(filepath.Join(path, "name.car")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it was put elsewhere: %v", err)
			}

			check(t, errors.Join(os.RemoveAll(path), os.Rename(path+".away", path)))
			commit(t, blob)
			check(t, blob.Abort())
			if got := names(t, path); !slices.Equal(got, []string{markerName, "name.car"}) {
				t.Errorf("it has %q", got)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
