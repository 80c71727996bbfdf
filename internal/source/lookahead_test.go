package source_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const latency = 5 * time.Millisecond

// TestReadersShareTheLatency runs on a virtual clock, on which only the latency of calls takes time.
func TestReadersShareTheLatency(t *testing.T) {
	for _, test := range []struct {
		name    string
		tree    sourcetest.Tree
		readers int
	}{
		{"many directories", sourcetest.Tree{Dirs: 500, Files: 20}, 16},
		{"small directories", sourcetest.Tree{Dirs: 3000, Files: 1}, 16},
		{"one directory", sourcetest.Tree{Files: 5000}, 16},
		{"few large directories", sourcetest.Tree{Dirs: 3, Files: 2000}, 16},
		{"very many directories", sourcetest.Tree{Dirs: 5000, Files: 20}, 16},
		{"many readers", sourcetest.Tree{Dirs: 500, Files: 20}, 64},
		{"one reader", sourcetest.Tree{Dirs: 50, Files: 20}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.tree.Latency = latency
				counting := sourcetest.NewCounting(sourcetest.NewSynthetic(test.tree))
				began := time.Now()
				walk(t, counting, sourcetest.Root, source.Options{Readers: test.readers})

				took, total := time.Since(began), counting.Total()
				calls := total.Lstats + total.Stats + total.ReadDirs
				ideal := latency * time.Duration(calls) / time.Duration(test.readers)

				if took > ideal*11/10+20*latency {
					t.Errorf("%d calls took %v, ideal is %v", calls, took, ideal)
				}

				if counting.Peak() != test.readers {
					t.Errorf("%d calls at once, want %d", counting.Peak(), test.readers)
				}
			})
		})
	}
}

// TestLookaheadIsBounded pauses at entries and checks how far the readers have gone.
func TestLookaheadIsBounded(t *testing.T) {
	for _, tree := range []sourcetest.Tree{{Files: 30000}, {Dirs: 30000}, {Dirs: 200, Files: 1000}} {
		synctest.Test(t, func(t *testing.T) {
			counting := sourcetest.NewCounting(sourcetest.NewSynthetic(tree))
			yielded, directories := 0, 0
			err := source.Walk(t.Context(), counting, sourcetest.Root, source.Options{Readers: 4},
				func(e sqlrepo.Entry) error {
					yielded++
					if e.Kind == sqlrepo.Directory {
						directories++
					}
					if yielded%1000 != 1 {
						return nil
					}

					// The readers go as far as they can.
					synctest.Wait()
					total := counting.Total()
					if total.Lstats > yielded+4*(256+64)+2*64 {
						t.Errorf("%d entries inspected, %d yielded", total.Lstats, yielded)
					}
					if listed := (total.ReadDirs - directories) * tree.Files; listed > (4+3)*tree.Files {
						t.Errorf("%d names listed ahead", listed)
					}
					return nil
				})
			must(t, err)
		})
	}
}

// TestLookaheadNeverStarvesTheWalk uses up all room with a slow beginning. The walk still gets what it needs.
func TestLookaheadNeverStarvesTheWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := slowStart{sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 100, Files: 1000})}
		if n := len(walk(t, fsys, sourcetest.Root, source.Options{Readers: 2})); n != 100101 {
			t.Errorf("%d entries", n)
		}
	})
}

// slowStart is a file system where the first file and two directories take an hour.
type slowStart struct{ *sourcetest.Synthetic }

func (s slowStart) Lstat(path string) (fs.FileInfo, error) {
	if path == s.FilePath(0, 0) {
		time.Sleep(time.Hour)
	}
	return s.Synthetic.Lstat(path)
}

func (s slowStart) ReadDir(path string) ([]fs.DirEntry, error) {
	if path == s.DirPath(0) || path == s.DirPath(50) {
		time.Sleep(time.Hour)
	}
	return s.Synthetic.ReadDir(path)
}

func BenchmarkWalkLocal(b *testing.B) {
	root := b.TempDir()
	plant(b, root, 100, 200)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(walk(b, source.Local(), root, source.Options{})); n != 20101 {
			b.Fatalf("%d entries", n)
		}
	}
}

func BenchmarkWalkMillion(b *testing.B) {
	fsys := sourcetest.NewSynthetic(sourcetest.Tree{Dirs: 1000, Files: 1000})
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := source.Walk(b.Context(), fsys, sourcetest.Root, source.Options{}, func(sqlrepo.Entry) error {
			n++
			return nil
		})
		if err != nil || n != 1001001 {
			b.Fatal(n, err)
		}
	}
}

// plant makes dirs directories with the given number of files each.
func plant(t testing.TB, root string, dirs, files int) {
	t.Helper()
	for d := range dirs {
		dir := filepath.Join(root, fmt.Sprintf("dir%d", d))
		must(t, os.Mkdir(dir, 0o755))
		for f := range files {
			must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%d", f)), nil, 0o644))
		}
	}
}
