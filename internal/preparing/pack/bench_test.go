package pack_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/internal/preparing/pack"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// BenchmarkSmallFiles packs 20,000 files of 1 to 8 KiB from one directory into another. With TMPDIR in memory, it
// measures what each file costs besides reading it.
func BenchmarkSmallFiles(b *testing.B) {
	root, segments, length := smallFiles(b, 20_000)
	to, err := store.OpenDirectory(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}

	for _, readAhead := range []int{1, 4, 16, 64, 256} {
		b.Run(fmt.Sprintf("readahead=%d", readAhead), func(b *testing.B) {
			packer := pack.Packer{
				Repo: planned(segments), Store: to, FS: source.Local(), Root: root, ReadAhead: readAhead,
				Buffers: pack.NewBuffers(readAhead), Progress: &progress.Counters{},
			}
			b.SetBytes(length)

			for b.Loop() {
				row := sqlrepo.Shard{Chunks: int64(len(segments))}
				packed, err := packer.Pack(b.Context(), row, "me", func(int64) {})
				if err == nil {
					err = packed.Abort()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func smallFiles(b *testing.B, n int) (root string, segments []sqlrepo.PackSegment, length int64) {
	b.Helper()
	root = b.TempDir()
	random := rand.New(rand.NewPCG(1, 2))

	content := make([]byte, 8<<10)
	for i := range n {
		for j := range content {
			content[j] = byte(random.Uint32())
		}

		size := 1<<10 + random.IntN(7<<10)
		path := filepath.Join(root, fmt.Sprintf("f%06d", i))
		if err := os.WriteFile(path, content[:size], 0o600); err != nil {
			b.Fatal(err)
		}

		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}

		segments = append(segments, sqlrepo.PackSegment{
			Segment: sqlrepo.Segment{Entry: int64(i), Chunk: int64(i), Length: int64(size)},
			Path:    sqlrepo.Path(info.Name()), Fingerprint: source.Fingerprint(info, nil), State: sqlrepo.Ready,
		})

		length += int64(size)
	}
	return root, segments, length
}
