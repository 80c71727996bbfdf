package gc_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/host/presence"
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
		dead := deadTag(t) + ".X"
		gone := append(slices.Clone(old), ".guppy-copy-"+dead+"-8.tmp", ".guppy-index-"+dead+"-9.tmp")
		for _, name := range append(slices.Clone(stay), gone...) {
			must(t, os.WriteFile(filepath.Join(f.dir, name), nil, 0o600))
		}

		for _, name := range append(slices.Clone(old), stay[3:]...) {
			must(t, os.Chtimes(filepath.Join(f.dir, name), time.Time{}, time.Now().Add(-25*time.Hour)))
		}
		for _, remove := range []bool{false, true} {
			n, err := f.collector().Temporary(t.Context(), f.store, remove)
			must(t, err)
			if n != int64(len(gone)) {
				t.Errorf("%d were found, want %d", n, len(gone))
			}

			for _, name := range append(slices.Clone(stay), gone...) {
				_, err := os.Stat(filepath.Join(f.dir, name))
				if (err != nil) != (remove && slices.Contains(gone, name)) {
					t.Errorf("%s: removing: %t: %v", name, remove, err)
				}
			}
		}
		f.sound()
	})
}

// deadTag returns the tag of a process that has ended.
func deadTag(t *testing.T) string {
	t.Helper()
	ended := exec.Command("true")
	must(t, ended.Run())
	_, rest, _ := strings.Cut(presence.Tag(), ".")
	tag := fmt.Sprintf("%d.%s", ended.Process.Pid, rest)
	if !presence.IsGone(tag) {
		t.Fatalf("%s is not known to be gone", tag)
	}
	return tag
}
