package gc_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// TestLeftoversOfNoSpace: leftovers are removed when no process can be at work on them. Files that may be under way
// stay, and so do files that another repository may have begun in the same store.
func TestLeftoversOfNoSpace(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, 1)
		f.write(0, "file", 10)
		f.prepare(0)
		stay := []string{
			".guppy-copy-0123456789abcdef.99999999.X-1.tmp", ".guppy-index-1-2.tmp", ".guppy-probe-3.tmp",
			".guppy-z6MkOther-1-2-3.tmp", ".guppy-indexed-4.tmp.txt",
		}

		old := []string{
			".guppy-copy-0123456789abcdef.99999999.X-5.tmp", ".guppy-index-1-6.tmp", ".guppy-probe-7.tmp",
		}
		for _, name := range append(slices.Clone(stay), old...) {
			must(t, os.WriteFile(filepath.Join(f.dir, name), nil, 0o600))
		}

		for _, name := range append(slices.Clone(old), stay[3:]...) {
			must(t, os.Chtimes(filepath.Join(f.dir, name), time.Time{}, time.Now().Add(-25*time.Hour)))
		}
		for _, remove := range []bool{false, true} {
			n, err := f.collector().Temporary(t.Context(), f.store, remove)
			must(t, err)
			if n != int64(len(old)) {
				t.Errorf("%d were found, want %d", n, len(old))
			}

			for _, name := range append(slices.Clone(stay), old...) {
				_, err := os.Stat(filepath.Join(f.dir, name))
				if gone := err != nil; gone != (remove && slices.Contains(old, name)) {
					t.Errorf("%s: removing: %t: %v", name, remove, err)
				}
			}
		}
		f.sound()
	})
}
