package shard_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/ipfs/go-cid"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/formats/piece"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
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

// newStore returns a store with a directory of its own. At the end, the directory must not contain anything
// unfinished.
func newStore(tb testing.TB) (to *storetest.Faulty, directory string) {
	tb.Helper()
	directory = tb.TempDir()
	under, err := store.OpenDirectory(directory)
	must(tb, err)
	to = &storetest.Faulty{Store: under}
	tb.Cleanup(func() {
		if n := to.Unended.Load(); n != 0 {
			tb.Errorf("%d blobs are open still", n)
		}
	})
	return to, directory
}

func begin(tb testing.TB, to store.Store) *shard.Builder {
	tb.Helper()
	b, err := shard.NewBuilder(tb.Context(), to, "me", shard.WithPiece(true))
	must(tb, err)
	return b
}

func finish(tb testing.TB, b *shard.Builder) *shard.Draft {
	tb.Helper()
	draft, err := b.Finish(tb.Context())
	must(tb, err)
	return draft
}

func add(tb testing.TB, b *shard.Builder, blocks ...[]byte) {
	tb.Helper()
	for _, data := range blocks {
		must(tb, b.Add(cid.Raw, sha256.Sum256(data), data))
	}
}

// build makes a draft of blocks.
func build(tb testing.TB, to store.Store, blocks ...[]byte) *shard.Draft {
	tb.Helper()
	b := begin(tb, to)
	add(tb, b, blocks...)
	return finish(tb, b)
}

// TestAShardHasEachBlockOnce adds random blocks, some of them twice, and reads the resulting file.
func TestAShardHasEachBlockOnce(t *testing.T) {
	to, _ := newStore(t)
	rapid.Check(t, func(rt *rapid.T) {
		b := begin(t, to)
		var want [][]byte
		for _, data := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 3), 1, 60).Draw(rt, "blocks") {
			digest := sha256.Sum256(data)
			if !b.Holds(digest) {
				want = append(want, data)
			}
			add(t, b, data)
			if !b.Holds(digest) || b.Blocks() != len(want) {
				rt.Fatalf("%d blocks, want %d; holds the last one: %t", b.Blocks(), len(want), b.Holds(digest))
			}
		}

		size := b.Size()
		draft := finish(t, b)
		if draft.Size() != size || len(draft.Nodes()) != len(want) || draft.Empty() {
			rt.Fatalf("a draft of %d bytes with %d nodes; the size was %d", draft.Size(), len(draft.Nodes()), size)
		}

		check(t, to, draft, want)
	})
}

// check commits a shard and compares its file with the blocks that it should have, and with the draft's
// description.
func check(t *testing.T, to store.Store, draft *shard.Draft, want [][]byte) {
	t.Helper()
	raw, row := commit(t, to, draft)
	digest, root := sha256.Sum256(raw), pieceOf(t, raw)
	if !bytes.Equal(digest[:], row.Digest) || !bytes.Equal(root, row.Piece) || int64(len(raw)) != row.Size ||
		row.State != sqlrepo.ShardPacked || row.Nodes != int64(len(want)) {
		t.Errorf("%d bytes with digest %x, described as %+v", len(raw), digest, row)
	}

	reader := car.NewReader(bytes.NewReader(raw))
	for i, data := range want {
		section, err := reader.Next()
		must(t, err)
		node := draft.Nodes()[i]
		if !bytes.Equal(section.Data, data) || section.Offset != int64(node.Position) || len(data) != int(node.Length) ||
			node.Digest != sha256.Sum256(data) || node.Codec != cid.Raw || draft.Digests()[i] != node.Digest {
			t.Errorf("block %d: %x at %d, recorded as %+v, want %x", i, section.Data, section.Offset, node, data)
		}
	}

	if _, err := reader.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("more than was added: %v", err)
	}
}

func pieceOf(tb testing.TB, raw []byte) []byte {
	tb.Helper()
	var hash piece.Hash
	defer hash.Close()
	_, err := hash.Write(raw)
	must(tb, err)
	root, err := hash.Root()
	must(tb, err)
	return root[:]
}

func TestPieceCIDsAreComputedOnRequestAlone(t *testing.T) {
	to, _ := newStore(t)
	b, err := shard.NewBuilder(t.Context(), to, "me", shard.WithPiece(false))
	must(t, err)
	add(t, b, []byte("x"), []byte("y"))
	draft := finish(t, b)
	smaller, err := draft.Without(t.Context(), holding([]byte("x")))
	must(t, err)

	for _, draft := range []*shard.Draft{draft, smaller} {
		row := sqlrepo.Shard{Piece: []byte{7}}
		draft.Describe(&row)
		if row.Piece != nil || row.Digest == nil {
			t.Errorf("described as %+v", row)
		}

		must(t, draft.Abort())
	}
}

// commit returns the file of a draft, which has the name of its digest, and the shard's row.
func commit(t *testing.T, to store.Store, draft *shard.Draft) (raw []byte, row sqlrepo.Shard) {
	t.Helper()
	must(t, draft.Publish(t.Context()))
	draft.Describe(&row)
	file, err := to.Open(t.Context(), car.ShardCID([sha256.Size]byte(row.Digest)).String()+".car")
	must(t, err)
	raw, err = io.ReadAll(file)
	must(t, errors.Join(err, file.Close()))
	return raw, row
}

func TestAShardWithoutBlocksIsStoredNowhere(t *testing.T) {
	to, directory := newStore(t)
	checkIsNowhere(t, build(t, to), directory)
}

func checkIsNowhere(t *testing.T, draft *shard.Draft, directory string) {
	t.Helper()
	row := sqlrepo.Shard{State: sqlrepo.ShardPlanned, Size: 7, Nodes: 7, Digest: []byte{7}}
	draft.Describe(&row)
	must(t, draft.Publish(t.Context()))
	if row.State != sqlrepo.ShardEmpty || row.Size+row.Nodes != 0 || row.Digest != nil ||
		!draft.Empty() || draft.Size() != 0 || len(draft.Digests()) != 0 {
		t.Errorf("described as %+v", row)
	}
	must(t, draft.Abort())
	checkEmpty(t, directory)
}

func TestAbortLeavesNothing(t *testing.T) {
	to, directory := newStore(t)
	b := begin(t, to)
	add(t, b, []byte("x"))
	for range 2 {
		must(t, b.Abort())
	}
	checkEmpty(t, directory)
}

func TestABuilderThatIsFinishedTakesNoMore(t *testing.T) {
	to, _ := newStore(t)
	b := begin(t, to)
	add(t, b, []byte("x"))
	draft := finish(t, b)
	defer func() { must(t, draft.Abort()) }()
	large := make([]byte, 1<<20)
	if err := b.Add(cid.Raw, sha256.Sum256(large), large); !errors.Is(err, os.ErrClosed) {
		t.Errorf("add: %v", err)
	}
}

func checkEmpty(t *testing.T, directory string) {
	t.Helper()
	left, err := os.ReadDir(directory)
	if err != nil || len(left) != 0 {
		t.Errorf("left %v: %v", left, err)
	}
}

func TestCheckFits(t *testing.T) {
	block := int64(1 << 20)
	least := int64(len(car.Header)) + car.SectionSize(block)
	must(t, shard.CheckFits(block, least))
	if err := shard.CheckFits(block, least-1); !errors.Is(err, shard.ErrTooSmall) {
		t.Errorf("one byte too few: %v", err)
	}
}
