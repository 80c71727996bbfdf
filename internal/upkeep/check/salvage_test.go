package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// changeAll changes the content of all files of the first upload. Only its shards have the old content afterwards.
func (f *fixture) changeAll() {
	f.Helper()
	f.write("old/large", 9, 1<<20+5)
	f.write("old/twice", 9, 1<<20+5)
	must(f, os.Remove(filepath.Join(f.root, "new", "mixed")))
	for i := range 20 {
		f.write(fmt.Sprintf("old/%d", i), uint64(300+i), 10*i+2)
	}
	f.run()
}

// flipAt changes a bit of a file.
func flipAt(path string, offset int64) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[offset] ^= 1
	return os.WriteFile(path, content, 0o600)
}

// largestNode returns the position of the largest block of a shard.
func (f *fixture) largestNode(shard int64) (largest sqlrepo.Node) {
	f.Helper()
	for node, err := range f.repo.Nodes(f.Context(), shard) {
		must(f, err)
		if node.Length > largest.Length {
			largest = node
		}
	}
	return largest
}

// TestOneBadBlockTakesNoOther: the good blocks of a damaged file are kept, although no source has them.
func TestOneBadBlockTakesNoOther(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.changeAll()
		want := f.roots()
		id := f.shardOf(0, sqlrepo.DataShard)
		before, err := f.repo.Shard(t.Context(), id)
		must(t, err)
		must(t, flipAt(f.file(id), int64(f.largestNode(id).Position)+1000))

		did := f.repair()
		f.finish()
		f.sound(strings.Join(did, "; "))
		after, err := f.repo.Shard(t.Context(), id)
		must(t, err)
		if after.Nodes != before.Nodes-1 {
			t.Errorf("%d blocks of %d are left, after %q", after.Nodes, before.Nodes, did)
		}

		if got := f.roots(); got[0] != "" || got[2] != want[2] {
			t.Errorf("roots %q, were %q", got, want)
		}
		if got := f.leftOut(f.uploads[0].ID); !slices.Equal(got, []string{"old/large", "old/twice"}) {
			t.Errorf("left out are %q", got)
		}
	})
}

// TestAllThatIsGoodIsKept: all blocks are kept of a file that is only damaged between blocks, and of one that an
// interrupted repair has set aside.
func TestAllThatIsGoodIsKept(t *testing.T) {
	keepAllGood(t, map[string]salvageable{
		"section":   func(_ *fixture, path string, block sqlrepo.Node) error { return flipAt(path, int64(block.Position)-9) },
		"set aside": func(_ *fixture, path string, _ sqlrepo.Node) error { return os.Rename(path, path+".damaged") },
	})
}

// salvageable harms a shard's file, or its rows, so that all its blocks are still there. It gets the largest block.
type salvageable func(f *fixture, path string, block sqlrepo.Node) error

func keepAllGood(t *testing.T, harms map[string]salvageable) {
	t.Helper()
	t.Parallel()
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
				f := newFixture(t, db)
				f.changeAll()
				want := f.roots()
				id := f.shardOf(0, sqlrepo.DataShard)
				path := f.file(id)
				good, err := os.ReadFile(path)
				must(t, err)
				must(t, harm(f, path, f.largestNode(id)))

				did := f.repair()
				f.finish()
				f.sound(strings.Join(did, "; "))
				if got := f.roots(); !slices.Equal(got, want) {
					t.Errorf("roots %q, were %q, after %q", got, want, did)
				}
				if now, err := os.ReadFile(path); err != nil || string(now) != string(good) {
					t.Errorf("the file is not what it was: %v, after %q", err, did)
				}
			})
		})
	}
}
