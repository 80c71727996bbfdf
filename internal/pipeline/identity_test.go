package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	gocar "github.com/ipld/go-car/v2"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/car"
	"github.com/guppy-prep/guppy/internal/enginetest"
	"github.com/guppy-prep/guppy/internal/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestRootIsTheReferences prepares random trees and compares the root with those of boxo and go-unixfsnode.
func TestRootIsTheReferences(t *testing.T) {
	for profile, reference := range references {
		t.Run(profile, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				root := randomTree(t, rt)
				f := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root, func(j *pipeline.Job) {
					j.Fresh.Profile = profile
				})
				upload := f.complete()
				want, err := reference(root)
				must(t, err)
				if upload.RootCID.Cid != want {
					rt.Fatalf("%s: root is %s, the reference's is %s", root, upload.RootCID, want)
				}
				checkShards(t, f, upload)
			})
		})
	}
}

// sizes are around what changes the shape of a file: chunks, and segments of a 2 MiB shard.
var sizes = []int{0, 1, 4096, 1<<20 - 1, 1 << 20, 1<<20 + 1, 2<<20 + 7, 5 << 20}

func randomTree(tb testing.TB, rt *rapid.T) string {
	root := tb.TempDir()
	random := rand.NewChaCha8([32]byte{rapid.Byte().Draw(rt, "seed")})
	name := rapid.OneOf(
		rapid.StringMatching(`[a-c. \n\-]{1,3}`),
		rapid.StringOfN(rapid.RuneFrom([]rune("äß€漢🐟a")), 1, 8, 255),
		rapid.Just(strings.Repeat("n", 255)),
		rapid.Just("\xff\xfe not utf-8"),
	).Filter(func(s string) bool { return s != "." && s != ".." })
	large := 0
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for _, base := range rapid.SliceOfNDistinct(name, 0, 5, rapid.ID[string]).Draw(rt, "names") {
			path := filepath.Join(dir, base)
			switch kind := rapid.IntRange(0, 9).Draw(rt, "kind"); {
			case kind < 3 && depth < 6:
				must(tb, os.Mkdir(path, 0o755))
				fill(path, depth+1)
			case kind == 3:
				must(tb, os.Symlink(rapid.SampledFrom([]string{"a", "../missing", "/abs/ölute"}).Draw(rt, "target"), path))
			default:
				size := rapid.IntRange(0, 3000).Draw(rt, "size")
				if kind == 9 && large < 3 {
					size, large = rapid.SampledFrom(sizes).Draw(rt, "large"), large+1
				}
				content := make([]byte, size)
				_, _ = random.Read(content)
				must(tb, os.WriteFile(path, content, 0o644))
			}
		}
	}
	fill(root, 0)
	if rapid.IntRange(0, 9).Draw(rt, "wide") == 0 {
		wideDirectory(tb, filepath.Join(root, "wide"), rapid.IntRange(4700, 6100).Draw(rt, "links"))
	}
	return root
}

// wideDirectory has about as many links as make a directory a HAMT.
func wideDirectory(tb testing.TB, dir string, links int) {
	must(tb, os.Mkdir(dir, 0o755))
	for i := range links {
		must(tb, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%012d", i)), []byte("h"), 0o644))
	}
}

// checkShards reads every shard with go-car and with our own reader, hashes it and its blocks, compares them with the
// rows, and walks the DAG.
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
	path := strings.TrimPrefix(shard.Location, "file://")
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
		block, err := reader.Next() // checks that the block has its CID's hash
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

// TestTheReadmeNamesTheRootOfTheSample as guppy and boxo have it.
func TestTheReadmeNamesTheRootOfTheSample(t *testing.T) {
	root, err := filepath.Abs("../../testdata/sample")
	must(t, err)
	f := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root)
	got := f.complete().RootCID.Cid
	want, err := references["unixfs-v1-2025"](root)
	must(t, err)
	equal(t, "root", got, want)
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	if !strings.Contains(string(readme), "\n    "+got.String()+"\n") {
		t.Errorf("the README does not name %s", got)
	}
}
