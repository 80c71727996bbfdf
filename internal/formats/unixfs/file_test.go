package unixfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// counted returns content of that size that never repeats a chunk of 8 bytes.
func counted(size int64) []byte {
	var b []byte
	for i := uint64(0); int64(len(b)) < size; i++ {
		b = binary.BigEndian.AppendUint64(b, i)
	}
	return b[:size]
}

func digestsOf(content []byte, chunkSize int64) []byte {
	var digests []byte
	for range chunks(int64(len(content)), chunkSize) {
		n := min(chunkSize, int64(len(content)))
		sum := sha256.Sum256(content[:n])
		digests = append(digests, sum[:]...)
		content = content[n:]
	}
	return digests
}

func buildFile(p Profile, content []byte, chunkSize int64, width int) (dag, error) {
	r := newRecorder()
	f := p.NewFile(int64(len(content)), r.emit)
	f.measure(int64(len(content)), chunkSize, width)
	if err := f.Add(digestsOf(content, chunkSize)); err != nil {
		return dag{}, err
	}
	return r.finish(f.Close())
}

func TestChunks(t *testing.T) {
	for size, want := range map[int64]int64{
		0: 1, 1: 1, ChunkSize - 1: 1, ChunkSize: 1, ChunkSize + 1: 2, 2 * ChunkSize: 2, 2*ChunkSize + 1: 3,
		math.MaxInt64: 1 << 43,
	} {
		if got := Chunks(size); got != want {
			t.Errorf("Chunks(%d) = %d, want %d", size, got, want)
		}
	}
}

func TestFileEqualsReference(t *testing.T) {
	const chunkSize, width = 8, maxFileLinks
	eachProfile(t, func(t *testing.T, p Profile) {
		for _, n := range []int64{1, 2, 1023, 1024, 1025, 1026, 2047, 2048, 2049, 3073} {
			for _, size := range []int64{n*chunkSize - 1, n * chunkSize} {
				t.Run(fmt.Sprint(size), func(t *testing.T) {
					content := counted(size)
					got := must[dag](t)(buildFile(p, content, chunkSize, width))
					got.requireEqual(t, must[dag](t)(referenceOf(p).file(content, chunkSize, width)))
				})
			}
		}
	})
}

// TestNarrowFileEqualsReference uses narrow nodes, which make trees of many levels.
func TestNarrowFileEqualsReference(t *testing.T) {
	eachProfile(t, func(t *testing.T, p Profile) {
		rapid.Check(t, func(t *rapid.T) {
			chunkSize := rapid.Int64Range(1, 9).Draw(t, "chunk size")
			width := rapid.IntRange(2, 6).Draw(t, "width")
			content := counted(rapid.Int64Range(0, 1500).Draw(t, "size"))
			got := must[dag](t)(buildFile(p, content, chunkSize, width))
			got.requireEqual(t, must[dag](t)(referenceOf(p).file(content, chunkSize, width)))
		})
	})
}

func TestFileTakesDigestsInAnyGrouping(t *testing.T) {
	const size = 3000*ChunkSize - 5
	digests := make([]byte, sha256.Size*3000)
	for i := range digests {
		digests[i] = byte(i * i >> 5)
	}

	want := newRecorder()
	f := Guppy.NewFile(size, want.emit)
	if err := f.Add(digests); err != nil {
		t.Fatal(err)
	}

	root := must[Link](t)(f.Close())

	rapid.Check(t, func(t *rapid.T) {
		got := newRecorder()
		f := Guppy.NewFile(size, got.emit)

		// A group may be empty.
		for rest := digests; len(rest) > 0; {
			n := sha256.Size * min(len(rest)/sha256.Size, rapid.IntRange(0, 2000).Draw(t, "group"))
			if err := f.Add(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}

		if l := must[Link](t)(f.Close()); l != root {
			t.Fatalf("root: got %v, want %v", l, root)
		}
		if fmt.Sprint(got.order) != fmt.Sprint(want.order) {
			t.Fatal("blocks differ")
		}
	})
}

func TestFileOfOneChunkEmitsNoBlock(t *testing.T) {
	sum := sha256.Sum256([]byte("hello world"))
	f := UnixFSv1_2025.NewFile(11, func(Block) error { t.Error("a block was emitted"); return nil })
	if err := f.Add(sum[:]); err != nil {
		t.Fatal(err)
	}
	l := must[Link](t)(f.Close())
	const want = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
	if l.CID.String() != want || l.Tsize != 11 {
		t.Errorf("got %v, want %s of 11 bytes", l, want)
	}
}

func TestFileRejects(t *testing.T) {
	emitted := errors.New("emit")
	nothing := func(Block) error { return nil }
	digest := make([]byte, sha256.Size)
	closed := UnixFSv1_2025.NewFile(1, nothing)
	_ = closed.Add(digest)
	_, _ = closed.Close()

	for _, c := range []struct {
		name    string
		file    *File
		digests []byte
		add     error
		close   error
	}{
		{"too many", UnixFSv1_2025.NewFile(1, nothing), bytes.Repeat(digest, 2), ErrChunkCount, ErrChunkCount},
		{"too few", UnixFSv1_2025.NewFile(2*ChunkSize, nothing), digest, nil, ErrChunkCount},
		{"none", UnixFSv1_2025.NewFile(0, nothing), nil, nil, ErrChunkCount},
		{"closed", closed, digest, ErrClosed, ErrClosed},
		{"no profile", Profile(0).NewFile(1, nothing), digest, ErrUnknownProfile, ErrUnknownProfile},
		{"emit", Guppy.NewFile(2*ChunkSize, func(Block) error { return emitted }), bytes.Repeat(digest, 2), nil, emitted},
		{"emit early", Guppy.NewFile(1024*ChunkSize, func(Block) error { return emitted }),
			bytes.Repeat(digest, 1024), emitted, emitted},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.file.Add(c.digests); !errors.Is(err, c.add) {
				t.Errorf("Add: got %v, want %v", err, c.add)
			}
			if _, err := c.file.Close(); !errors.Is(err, c.close) {
				t.Errorf("Close: got %v, want %v", err, c.close)
			}
			if err := c.file.Add(nil); err == nil {
				t.Error("Add after Close succeeded")
			}
		})
	}
}

func TestFileRejectsMalformedInput(t *testing.T) {
	f := UnixFSv1_2025.NewFile(1, nil)
	if err := f.Add(make([]byte, sha256.Size-1)); err == nil {
		t.Error("a part of a digest was accepted")
	}
	f = UnixFSv1_2025.NewFile(-1, nil)
	if err := f.Add(make([]byte, sha256.Size)); err == nil {
		t.Error("a negative size was accepted")
	}
}

// TestFileMemoryIsOneNodePerLevel passes the digests of more than a terabyte through a few hundred kilobytes.
func TestFileMemoryIsOneNodePerLevel(t *testing.T) {
	const n = 3 * maxFileLinks * maxFileLinks / 2
	f := UnixFSv1_2025.NewFile(n*ChunkSize, func(Block) error { return nil })

	group := make([]byte, sha256.Size*maxFileLinks)
	for range n / maxFileLinks {
		if err := f.Add(group); err != nil {
			t.Fatal(err)
		}
	}

	held := 0
	for _, level := range f.levels {
		held += cap(level.links) + cap(level.blockSizes)
	}

	if limit := 3 * 100 * maxFileLinks; held > limit {
		t.Errorf("holds %d bytes, want at most %d", held, limit)
	}
	must[Link](t)(f.Close())
}

func BenchmarkFile(b *testing.B) {
	group := make([]byte, sha256.Size*254)
	b.SetBytes(254)
	f := UnixFSv1_2025.NewFile(math.MaxInt64, func(Block) error { return nil })
	for b.Loop() {
		if err := f.Add(group); err != nil {
			b.Fatal(err)
		}
	}
}
