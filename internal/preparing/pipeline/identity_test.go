package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	gocar "github.com/ipld/go-car/v2"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// checkShards reads every shard with go-car and with our own reader, verifies the digests of the shard and its
// blocks, compares them with the rows, and walks the DAG.
func checkShards(t *testing.T, f *fixture, upload sqlrepo.Upload) {
	t.Helper()
	held := map[cid.Cid]blocks.Block{}
	for shard, err := range f.repo.Shards(context.Background(), upload.ID, sqlrepo.ShardFilter{}) {
		must(t, err)
		if shard.State == sqlrepo.ShardEmpty {
			continue
		}
		readShard(t, f, shard, held)
	}
	reached := map[cid.Cid]bool{}
	walk(t, upload.RootCID.Cid, held, reached)
	equal(t, "blocks that the root does not reach", len(held)-len(reached), 0)
}

func readShard(t *testing.T, f *fixture, shard sqlrepo.Shard, held map[cid.Cid]blocks.Block) {
	t.Helper()
	path := f.shardFile(shard)
	raw, err := os.ReadFile(path)
	must(t, err)

	digest := sha256.Sum256(raw)
	equal(t, "digest of "+path, string(digest[:]), string(shard.Digest))
	equal(t, "size of "+path, int64(len(raw)), shard.Size)
	if shard.Size > shardSize {
		t.Errorf("shard %d has %d bytes", shard.ID, shard.Size)
	}

	reader, err := gocar.NewBlockReader(bytes.NewReader(raw))
	must(t, err)
	equal(t, "roots", len(reader.Roots), 0)
	own := car.NewReader(bytes.NewReader(raw))

	for node, err := range f.repo.Nodes(context.Background(), shard.ID) {
		must(t, err)
		block, err := reader.Next() // checks that the block matches its CID
		must(t, err)
		section, err := own.Next()
		must(t, err)
		equal(t, "CID", section.CID, block.Cid())
		equal(t, "offset", section.Offset, int64(node.Position))
		equal(t, "data", string(section.Data), string(block.RawData()))
		equal(t, "node", string(raw[node.Position:node.Position+node.Length]), string(block.RawData()))
		equal(t, "digest of a node", string(node.Digest[:]), string(block.Cid().Hash()[2:]))
		equal(t, "codec of a node", uint64(node.Codec), block.Cid().Prefix().Codec)
		held[block.Cid()] = block
	}

	if _, err := reader.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("shard %d has more blocks than rows: %v", shard.ID, err)
	}
	if _, err := own.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("our own reader finds more in shard %d: %v", shard.ID, err)
	}
}

func walk(t *testing.T, c cid.Cid, held map[cid.Cid]blocks.Block, reached map[cid.Cid]bool) {
	t.Helper()
	if reached[c] {
		return
	}

	block, ok := held[c]
	if !ok {
		t.Fatalf("no shard holds %s", c)
	}

	reached[c] = true
	if c.Prefix().Codec != cid.DagProtobuf {
		return
	}

	node, err := merkledag.DecodeProtobuf(block.RawData())
	must(t, err)
	for _, link := range node.Links() {
		walk(t, link.Cid, held, reached)
	}
}

// TestTheReadmeNamesTheRootOfTheSample compares the root in the README with the roots of guppy and boxo.
func TestTheReadmeNamesTheRootOfTheSample(t *testing.T) {
	root, err := filepath.Abs("../../../testdata/sample")
	must(t, err)
	f := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root)
	got := f.complete().RootCID.Cid
	want, err := references["unixfs-v1-2025"](root)
	must(t, err)
	equal(t, "root", got, want)
	readme, err := os.ReadFile("../../../README.md")
	must(t, err)
	if !strings.Contains(string(readme), "\nroot      "+got.String()+"\n") {
		t.Errorf("the README does not name %s", got)
	}
}
