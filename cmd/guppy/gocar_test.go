//go:build long

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"
	carv2 "github.com/ipld/go-car/v2"
	"github.com/ipld/go-car/v2/blockstore"
)

// TestGoCarReadsWhatIsWritten inspects shards, their CARv2 form and an export with the go-car library, which
// compares each block with its CID.
func TestGoCarReadsWhatIsWritten(t *testing.T) {
	i := install(t, build(t), engines()[0])
	tree := filepath.Join(i.home, "tree")
	writeChunks(t, tree)
	summary := report{uploadView: uploadView{contentCounts: &contentCounts{}}}
	noError(t, json.Unmarshal([]byte(i.run(t, "prepare", tree, "--shard-size", "2MiB", "--json")), &summary))

	for _, shard := range summary.Shards {
		one, two := filepath.Join(i.home, shard.CID), filepath.Join(i.home, shard.CID+".v2")
		i.run(t, "shard", "cat", shard.CID, "-o", one)
		i.run(t, "shard", "cat", shard.CID, "--car-version", "2", "-o", two)

		first, second := inspectCAR(t, one), inspectCAR(t, two)
		if first.BlockCount != uint64(shard.Blocks) || len(first.Roots) != 0 || first.Version != 1 {
			t.Errorf("%s: %+v", shard.CID, first)
		}
		if second.BlockCount != uint64(shard.Blocks) || second.Version != 2 || second.IndexCodec == 0 {
			t.Errorf("%s as CARv2: %+v", shard.CID, second)
		}

		readIndexed(t, two, shard.Blocks)
	}

	export := filepath.Join(i.home, "export.car")
	i.run(t, "export", summary.RootCID, "-o", export)
	stats := inspectCAR(t, export)
	if stats.BlockCount != uint64(summary.Nodes) || fmt.Sprint(stats.Roots) != "["+summary.RootCID+"]" ||
		!stats.RootsPresent {
		t.Errorf("export: %+v; %d nodes were prepared", stats, summary.Nodes)
	}
}

// inspectCAR reads a CAR to its end.
func inspectCAR(t *testing.T, path string) carv2.Stats {
	t.Helper()
	reader, err := carv2.OpenReader(path)
	noError(t, err)
	defer reader.Close() //nolint:errcheck // it is only read
	stats, err := reader.Inspect(true)
	noError(t, err)
	return stats
}

// readIndexed finds each block of a CARv2 by its index.
func readIndexed(t *testing.T, path string, want int64) {
	t.Helper()
	blocks, err := blockstore.OpenReadOnly(path)
	noError(t, err)
	defer blocks.Close() //nolint:errcheck // it is only read

	keys, err := blocks.AllKeysChan(context.Background())
	noError(t, err)

	found := int64(0)
	for key := range keys {
		block, err := blocks.Get(t.Context(), key)
		noError(t, err)

		sum, err := cid.NewPrefixV1(key.Type(), key.Prefix().MhType).Sum(block.RawData())
		noError(t, err)

		if string(sum.Hash()) != string(key.Hash()) {
			t.Errorf("the index has another block for %s", key)
		}
		found++
	}

	if found != want {
		t.Errorf("%d blocks in %s, want %d", found, path, want)
	}
}
