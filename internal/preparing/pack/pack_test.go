package pack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/preparing/pack"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// drawTree draws many small files, which share batches, and some large ones. Files of the same few bytes are alike.
func drawTree(t *rapid.T) (*sourcetest.Synthetic, int) {
	size := rapid.OneOf(rapid.Int64Range(0, 2), rapid.Int64Range(0, 9000), rapid.Int64Range(0, 3<<20))
	sizes := rapid.SliceOfN(size, 1, 100).Draw(t, "sizes")
	return sourcetest.NewSynthetic(sourcetest.Tree{
		Files: len(sizes), Seed: 5, SizeOf: func(_, file int) int64 { return sizes[file] },
	}), len(sizes)
}

// TestAShardHasWhatWasPlanned packs random files with random numbers of concurrent reads.
func TestAShardHasWhatWasPlanned(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tree, files := drawTree(rt)
		var plan planned
		for i := range files {
			info, err := tree.Lstat(tree.FilePath(0, i))
			must(t, err)

			// Some segments begin behind the first chunk of their file.
			first := int64(0)
			if info.Size() > 1<<20 {
				first = rapid.Int64Range(0, 1).Draw(rt, "first")
			}
			plan = plan.plan(t, tree, tree.FilePath(0, i), first, rapid.Int64Range(1, 4).Draw(rt, "most"))
		}

		f := newFixture(t, tree, plan, rapid.SampledFrom([]int{1, 2, 3, 16, 100}).Draw(rt, "read ahead"))
		packed, err := f.pack(t.Context())
		must(t, err)
		f.check(t, packed, plan.blocks(t, tree, nil))
		equal(t, "files opened", f.opened.Load() >= int64(files), true) // including empty reads
		must(t, packed.Draft.Abort())
	})
}

// check compares a packed shard with the chunks of the plan. The shard should have all of them.
func (f *fixture) check(t *testing.T, packed *pack.Packed, blocks [][]byte) {
	t.Helper()
	if !bytes.Equal(packed.Digests, digestsOf(blocks)) {
		t.Errorf("the digests are wrong")
	}

	content, files := int64(0), int64(0)
	for _, segment := range f.plan {
		content += segment.Length
		if segment.Offset+segment.Length == segment.Size {
			files++
		}
	}

	equal(t, "content", packed.Shard.Content, content)
	equal(t, "files", packed.Files, files)
	equal(t, "bytes read", f.arrived.Load(), content)
	equal(t, "bytes counted", f.packer.Progress.Bytes.Load(), content)
	equal(t, "files counted", f.packer.Progress.Files.Load(), files)
	equal(t, "taken out", len(packed.TakenOut), 0)
	equal(t, "open files", f.open.Load(), 0)
	equal(t, "shard", packed.Shard.ID, 7)
	checkBlocks(t, f.store, packed, blocks)
}

// checkBlocks commits the draft and checks that its file has each block once.
func checkBlocks(t *testing.T, to store.Store, packed *pack.Packed, blocks [][]byte) {
	t.Helper()
	must(t, packed.Draft.Publish(t.Context()))
	packed.Draft.Describe(&packed.Shard)
	file, err := to.Open(t.Context(), shard.Name([sha256.Size]byte(packed.Shard.Digest)))
	must(t, err)
	defer func() { _ = file.Close() }()

	reader, seen := car.NewReader(file), map[[sha256.Size]byte]bool{}
	for i, block := range blocks {
		digest := sha256.Sum256(block)
		if seen[digest] {
			continue
		}

		seen[digest] = true
		section, err := reader.Next()
		must(t, err)
		if !bytes.Equal(section.Data, block) {
			t.Errorf("another block for chunk %d", i)
		}
	}

	if _, err := reader.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("there are more blocks: %v", err)
	}
}

// mixed has files of all kinds, which fill some batches.
var mixed = sourcetest.Tree{Files: 200, Seed: 9, SizeOf: func(_, file int) int64 {
	if file%50 == 7 {
		return 3<<20 + 11
	}
	return int64(file * 100)
}}

// TestAbortTakesBackWhatWasCounted checks that nothing is taken back that other shards counted.
func TestAbortTakesBackWhatWasCounted(t *testing.T) {
	tree := sourcetest.NewSynthetic(mixed)
	f := newFixture(t, tree, planAll(t, tree, 200), 16)
	f.packer.Progress.Bytes.Add(5)
	f.packer.Progress.Files.Add(1)
	packed, err := f.pack(t.Context())
	must(t, err)
	equal(t, "files", f.packer.Progress.Files.Load(), 201)

	for range 2 {
		must(t, packed.Abort())
	}
	f.packer.Progress.Bytes.Add(-5)
	f.packer.Progress.Files.Add(-1)
	f.checkNothing(t)
}

// TestWhatIsHeldElsewhereIsCountedAllTheSame checks that the source is not read again for held blocks.
func TestWhatIsHeldElsewhereIsCountedAllTheSame(t *testing.T) {
	tree := sourcetest.NewSynthetic(mixed)
	f := newFixture(t, tree, planAll(t, tree, 200), 16)
	packed, err := f.pack(t.Context())
	must(t, err)

	bytesRead := f.arrived.Load()
	digests := packed.Draft.Digests()
	smaller, err := packed.Draft.Without(t.Context(), map[sqlrepo.Digest]struct{}{digests[3]: {}, digests[30]: {}})
	must(t, err)

	equal(t, "blocks", len(smaller.Digests()), len(digests)-2)
	must(t, packed.Draft.Abort())
	must(t, smaller.Abort())

	equal(t, "bytes read", f.arrived.Load(), bytesRead)
	equal(t, "bytes counted", f.packer.Progress.Bytes.Load(), packed.Shard.Content)
}

// TestBuffersAreUsedAgain uses the same buffers for one shard after another.
func TestBuffersAreUsedAgain(t *testing.T) {
	tree := sourcetest.NewSynthetic(mixed)
	f := newFixture(t, tree, planAll(t, tree, 200), 16)
	want := f.plan.blocks(t, tree, nil)
	var first, last runtime.MemStats

	for i := range 4 {
		// The first shard allocates the buffers.
		if i == 1 {
			runtime.ReadMemStats(&first)
		}

		packed, err := f.pack(t.Context())
		must(t, err)
		if i == 3 {
			runtime.ReadMemStats(&last)
			checkBlocks(t, f.store, packed, want)
		}

		must(t, packed.Abort())
	}
	if each := (last.TotalAlloc - first.TotalAlloc) / 3; each > 4<<20 {
		t.Errorf("each further shard allocates %d bytes", each)
	}
}

var errBroken = errors.New("broken")

// TestWhateverFailsInTheStoreLeavesNothing makes each call of each operation fail in turn, until all of them
// succeed.
func TestWhateverFailsInTheStoreLeavesNothing(t *testing.T) {
	tree := sourcetest.NewSynthetic(mixed)
	plan := planAll(t, tree, 40)
	for _, op := range []string{"create", "write", "sync"} {
		failed := int64(0)
		for {
			// Each round lets one more call succeed.
			f := newFixture(t, tree, plan, 4)
			f.store.Fail = storetest.FailAt(op, failed+1, errBroken)
			packed, err := f.pack(t.Context())
			if err == nil {
				must(t, packed.Abort())
				break
			}

			failed++
			if !errors.Is(err, errBroken) || packed != nil {
				t.Errorf("%s: %v, %v", op, packed, err)
			}
			f.checkNothing(t)
		}

		if failed == 0 {
			t.Errorf("%s was never called", op)
		}
	}
}

// cutShort is a plan that fails in the middle of being read.
type cutShort struct{ planned }

func (c cutShort) ShardSegments(ctx context.Context, id int64) iter.Seq2[sqlrepo.PackSegment, error] {
	return func(yield func(sqlrepo.PackSegment, error) bool) {
		for segment, err := range c.planned.ShardSegments(ctx, id) {
			if !yield(segment, err) {
				return
			}
		}
		yield(sqlrepo.PackSegment{}, errBroken)
	}
}

func TestAPlanThatCannotBeReadLeavesNothing(t *testing.T) {
	tree := sourcetest.NewSynthetic(mixed)
	f := newFixture(t, tree, planAll(t, tree, 100), 4)
	f.packer.Repo = cutShort{f.plan}
	if packed, err := f.pack(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("%v, %v", packed, err)
	}
	f.checkNothing(t)
}

func TestAShardOfNothing(t *testing.T) {
	f := newFixture(t, sourcetest.NewSynthetic(mixed), nil, 4)
	packed, err := f.pack(t.Context())
	must(t, err)
	equal(t, "empty", packed.Draft.Empty(), true)
	must(t, packed.Abort())
	f.checkNothing(t)
}
