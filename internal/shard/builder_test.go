package shard_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/car"
	"github.com/guppy-prep/guppy/internal/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func begin(tb testing.TB) (b *shard.Builder, directory string) {
	tb.Helper()
	directory = tb.TempDir()
	to, err := store.OpenDirectory(directory)
	must(tb, err)
	b, err = shard.NewBuilder(context.Background(), to, "me")
	must(tb, err)
	return b, directory
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// TestAShardHasEachBlockOnce adds random blocks, some of them again, and reads the file that this gives.
func TestAShardHasEachBlockOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, _ := begin(t)
		var want [][]byte
		for _, data := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 3), 1, 60).Draw(rt, "blocks") {
			digest := sha256.Sum256(data)
			if !b.Holds(digest) {
				want = append(want, data)
			}
			must(t, b.Add(cid.Raw, digest, data))
			if !b.Holds(digest) || b.Blocks() != len(want) {
				rt.Fatalf("%d blocks, want %d; holds the last one: %t", b.Blocks(), len(want), b.Holds(digest))
			}
		}
		size := b.Size()
		packed, err := b.Seal(context.Background())
		must(t, err)
		if packed.Shard.State != sqlrepo.ShardPacked || packed.Shard.Size != size || len(packed.Nodes) != len(want) {
			rt.Fatalf("sealed as %+v with %d nodes; the size was %d", packed.Shard, len(packed.Nodes), size)
		}
		check(t, packed, want)
	})
}

// check compares a shard's file with the blocks that it should have, and with what it was sealed as.
func check(t *testing.T, packed sqlrepo.PackedShard, want [][]byte) {
	t.Helper()
	location, err := url.Parse(packed.Shard.Location)
	must(t, err)
	raw, err := os.ReadFile(location.Path)
	must(t, err)
	digest := sha256.Sum256(raw)
	if !bytes.Equal(digest[:], packed.Shard.Digest) || int64(len(raw)) != packed.Shard.Size ||
		filepath.Base(location.Path) != car.ShardCID(digest).String()+".car" {
		t.Errorf("%s: %d bytes with digest %x, sealed as %+v", location.Path, len(raw), digest, packed.Shard)
	}
	reader := car.NewReader(bytes.NewReader(raw))
	for i, data := range want {
		section, err := reader.Next()
		must(t, err)
		node := packed.Nodes[i]
		if !bytes.Equal(section.Data, data) || section.Offset != int64(node.Position) ||
			len(data) != int(node.Length) || node.Digest != sha256.Sum256(data) || node.Codec != cid.Raw {
			t.Errorf("block %d: %x at %d, recorded as %+v, want %x", i, section.Data, section.Offset, node, data)
		}
	}
	if _, err := reader.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("more than was added: %v", err)
	}
}

func TestAShardWithoutBlocksIsStoredNowhere(t *testing.T) {
	b, directory := begin(t)
	packed, err := b.Seal(context.Background())
	must(t, err)
	if packed.Shard.State != sqlrepo.ShardEmpty || packed.Shard.Location != "" {
		t.Errorf("sealed as %+v", packed.Shard)
	}
	checkEmpty(t, directory)
}

func TestAbortLeavesNothing(t *testing.T) {
	b, directory := begin(t)
	must(t, b.Add(cid.Raw, sha256.Sum256([]byte("x")), []byte("x")))
	for range 2 {
		must(t, b.Abort())
	}
	checkEmpty(t, directory)
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
