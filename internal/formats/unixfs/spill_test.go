package unixfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"
)

func withSpillAt(bytes int) DirectoryOption {
	return func(d *Directory) { d.spillAt = bytes }
}

// TestSmallDirectoryDoesNotSpill checks that a directory of one block never spills, however low the limit is.
func TestSmallDirectoryDoesNotSpill(t *testing.T) {
	entries := entriesOf("numbers", 1000, 1)
	want := must[dag](t)(buildDirectory(Guppy, entries))
	got := must[dag](t)(buildDirectory(Guppy, entries, withSpillAt(0), WithTempDir("/nonexistent")))
	got.requireEqual(t, want)
}

// spilled returns a directory that has spilled to the temporary directory.
func spilled(t *testing.T, temp string) *Directory {
	d := Guppy.NewDirectory(newRecorder().emit, withSpillAt(100_000), WithTempDir(temp))
	if err := addAll(d, entriesOf("long", 2000, 1)); err != nil {
		t.Fatal(err)
	}
	if d.spill == nil {
		t.Fatal("nothing was spilled")
	}
	return d
}

func TestSpillLeavesNoFile(t *testing.T) {
	temp := t.TempDir()
	d := spilled(t, temp)
	if left := must[[]os.DirEntry](t)(os.ReadDir(temp)); len(left) > 0 {
		t.Errorf("the temporary file has a name: %v", left)
	}

	file := d.spill.file
	d.Discard()
	d.Discard()
	if _, err := file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Discard: got %v, want %v", err, os.ErrClosed)
	}

	d = spilled(t, temp)
	file = d.spill.file
	must[Link](t)(d.Close())
	if _, err := file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: got %v, want %v", err, os.ErrClosed)
	}
}

func TestSpillReportsErrors(t *testing.T) {
	t.Run("no directory", func(t *testing.T) {
		missing := filepath.Join(t.TempDir(), "missing")
		_, err := buildDirectory(Guppy, entriesOf("long", 2000, 1), withSpillAt(0), WithTempDir(missing))
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want %v", err, fs.ErrNotExist)
		}
	})

	t.Run("truncated", func(t *testing.T) {
		d := spilled(t, t.TempDir())
		if err := errors.Join(d.spillLinks(), d.spill.file.Truncate(d.spill.end()-1)); err != nil {
			t.Fatal(err)
		}

		if _, err := d.Close(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
		}
	})

	t.Run("not writable", func(t *testing.T) {
		d := spilled(t, t.TempDir())
		if err := d.spill.file.Close(); err != nil {
			t.Fatal(err)
		}

		if _, err := d.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("got %v, want %v", err, os.ErrClosed)
		}
	})
}

func TestDirectoryMemoryStaysFlat(t *testing.T) {
	const limit = 1 << 20
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}

	before, peak, blocks := heap(), uint64(0), 0
	d := Guppy.NewDirectory(func(Block) error {
		if blocks++; blocks%1000 == 0 {
			peak = max(peak, heap())
		}
		return nil
	}, withSpillAt(limit), WithTempDir(t.TempDir()))
	fill(t, d, 200_000)

	// After all entries were added, only those since the last spill are in memory.
	held := cap(d.links.buf) + cap(d.links.index)*int(unsafe.Sizeof(recordSlot{}))
	if held > 3*limit {
		t.Errorf("holds %d bytes, want at most %d", held, 3*limit)
	}

	must[Link](t)(d.Close())
	if blocks < 1000 || peak > before+8*limit {
		t.Errorf("heap grew by %d bytes over %d blocks", peak-before, blocks)
	}
}

func fill(t testing.TB, d *Directory, n int) {
	l := content("h")
	for i := range n {
		if err := d.Add(fmt.Sprintf("%012d", i), l); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkDirectory(b *testing.B) {
	const n = 1_000_000
	for _, c := range []struct {
		name    string
		spillAt int
	}{{"spill=32MiB", defaultSpillAt}, {"spill=never", 1 << 40}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d := UnixFSv1_2025.NewDirectory(func(Block) error { return nil }, withSpillAt(c.spillAt))
				fill(b, d, n)
				b.ReportMetric(float64(cap(d.links.buf)+cap(d.links.index)*16)/n, "held-B/link")
				must[Link](b)(d.Close())
			}

			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/link")
		})
	}
}
