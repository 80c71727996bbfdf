package retrieve_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/reading/retrieve"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
)

// TestOnlyWholeFilesAreCounted retrieves twice a tree in which a large and a small file lack a block.
func TestOnlyWholeFilesAreCounted(t *testing.T) {
	s := treetest.New()
	root := s.Directory("", s.File("a", "aa", "bb"), s.File("b", "cc", "lost"), s.Raw("c", "gone"), s.Raw("d", "ddd"))
	for _, lost := range []string{"lost", "gone"} {
		s.Remove(s.Raw("", lost).CID)
	}

	out, kept := t.TempDir(), int64(0)
	for range 2 {
		sum := must(to(t, s, root, out))(t)
		want := retrieve.Summary{Files: 2, Directories: 1, Bytes: 7, Kept: kept, Failed: 2}
		if sum != want {
			t.Errorf("got %+v, want %+v", sum, want)
		}
		kept = 7
	}
}
