package pack_test

import (
	"context"
	"crypto/sha256"
	"io"
	"iter"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/pack"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func equal[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// planned is the plan of a shard.
type planned []sqlrepo.PackSegment

func (p planned) ShardSegments(context.Context, int64) iter.Seq2[sqlrepo.PackSegment, error] {
	return func(yield func(sqlrepo.PackSegment, error) bool) {
		for _, segment := range p {
			if !yield(segment, nil) {
				return
			}
		}
	}
}

// chunks returns the number of planned chunks.
func (p planned) chunks() (n int64) {
	for _, segment := range p {
		n += unixfs.Chunks(segment.Length)
	}
	return n
}

// plan appends a file to the plan, from chunk first on, with at most most chunks.
func (p planned) plan(tb testing.TB, fsys source.FS, path string, first, most int64) planned {
	tb.Helper()
	info, err := fsys.Lstat(path)
	must(tb, err)
	relative, err := sqlrepo.ParsePath(path[len(sourcetest.Root)+1:])
	must(tb, err)
	offset := first * unixfs.ChunkSize
	segment := sqlrepo.Segment{
		Entry: int64(len(p) + 1), Offset: offset, Chunk: p.chunks(),
		Length: min(info.Size()-offset, most*unixfs.ChunkSize),
	}

	return append(p, sqlrepo.PackSegment{
		Segment: segment, Path: relative, Fingerprint: source.Fingerprint(info, nil), State: sqlrepo.Ready,
	})
}

// planAll plans whole files of the tree's root.
func planAll(tb testing.TB, tree *sourcetest.Synthetic, files int) (p planned) {
	tb.Helper()
	for i := range files {
		p = p.plan(tb, tree, tree.FilePath(0, i), 0, 1<<20)
	}
	return p
}

// blocks returns the chunks that the plan should give, without the entries in out.
func (p planned) blocks(tb testing.TB, fsys source.FS, out map[int64]bool) (blocks [][]byte) {
	tb.Helper()
	for _, segment := range p {
		if out[segment.Entry] {
			continue
		}

		file, err := fsys.Open(source.OSPath(sourcetest.Root, segment.Path))
		must(tb, err)
		content := make([]byte, segment.Length)
		_, err = io.ReadFull(io.NewSectionReader(file, segment.Offset, segment.Length), content)
		must(tb, err)
		must(tb, file.Close())

		for {
			n := min(len(content), unixfs.ChunkSize)
			blocks = append(blocks, content[:n])
			if content = content[n:]; len(content) == 0 {
				break
			}
		}
	}

	return blocks
}

// fixture packs a plan into a store of its own.
type fixture struct {
	packer pack.Packer
	plan   planned
	store  *storetest.Faulty
	path   string
	// arrived counts the bytes read, opened the files opened, and open the files not closed yet.
	arrived, opened, open atomic.Int64
}

func newFixture(tb testing.TB, fsys source.FS, plan planned, readAhead int) *fixture {
	tb.Helper()
	f := &fixture{plan: plan, path: tb.TempDir()}
	under, err := store.OpenDirectory(f.path)
	must(tb, err)
	f.store = &storetest.Faulty{Store: under}
	f.packer = pack.Packer{
		Repo: plan, Store: f.store, FS: closing{fsys, &f.open}, Root: sourcetest.Root, ReadAhead: readAhead,
		Buffers: pack.NewBuffers(readAhead), Progress: &progress.Counters{},
	}
	return f
}

func (f *fixture) pack(ctx context.Context) (*pack.Packed, error) {
	row := sqlrepo.Shard{ID: 7, Ordinal: 3, Chunks: f.plan.chunks()}
	return f.packer.Pack(ctx, row, "me", func(n int64) {
		if n == 0 {
			f.opened.Add(1)
		}
		f.arrived.Add(n)
	})
}

// checkNothing checks that nothing is left of a shard that was not packed or was aborted.
func (f *fixture) checkNothing(tb testing.TB) {
	tb.Helper()
	left, err := f.store.Unfinished(tb.Context(), "")
	must(tb, err)
	equal(tb, "unfinished blobs", len(left), 0)
	equal(tb, "open blobs", f.store.Unended.Load(), 0)
	equal(tb, "open files", f.open.Load(), 0)
	equal(tb, "bytes counted", f.packer.Progress.Bytes.Load(), 0)
	equal(tb, "files counted", f.packer.Progress.Files.Load(), 0)
}

// closing counts the open files.
type closing struct {
	source.FS
	open *atomic.Int64
}

func (c closing) Open(path string) (source.File, error) {
	file, err := c.FS.Open(path)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return closingFile{file, c.open}, nil
}

type closingFile struct {
	source.File
	open *atomic.Int64
}

func (f closingFile) Close() error {
	f.open.Add(-1)
	return f.File.Close()
}

func digestsOf(blocks [][]byte) (digests []byte) {
	for _, block := range blocks {
		digest := sha256.Sum256(block)
		digests = append(digests, digest[:]...)
	}
	return digests
}
