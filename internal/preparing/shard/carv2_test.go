package shard_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	carv2 "github.com/ipld/go-car/v2"
	"github.com/ipld/go-car/v2/index"
	"github.com/ipld/go-car/v2/storage"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func each(nodes []sqlrepo.Node, failure error) iter.Seq2[sqlrepo.Node, error] {
	return func(yield func(sqlrepo.Node, error) bool) {
		for _, node := range nodes {
			if !yield(node, nil) {
				return
			}
		}
		if failure != nil {
			yield(sqlrepo.Node{}, failure)
		}
	}
}

// someShard has blocks whose section lengths take one, two and three bytes.
func someShard(t *testing.T) (content []byte, nodes []sqlrepo.Node) {
	t.Helper()
	content = []byte(car.Header)
	for i, size := range []int{0, 1, 91, 92, 5000, 100_000} {
		data := bytes.Repeat([]byte{byte(i + 1)}, size)
		digest := sha256.Sum256(data)
		content = car.AppendSectionHeader(content, 0x55, digest, int64(size))
		nodes = append(nodes, sqlrepo.Node{Position: int32(len(content)), Length: int32(size), Codec: 0x55, Digest: digest})
		content = append(content, data...)
	}
	return content, nodes
}

func TestOthersReadACARv2(t *testing.T) {
	content, nodes := someShard(t)
	var out bytes.Buffer
	if err := shard.WriteV2(&out, int64(len(content)), bytes.NewReader(content), each(nodes, nil)); err != nil {
		t.Fatal(err)
	}

	reader, err := carv2.NewReader(bytes.NewReader(out.Bytes()))
	if err != nil || !reader.Header.HasIndex() || !reader.Header.Characteristics.IsFullyIndexed() {
		t.Fatalf("%+v, %v", reader, err)
	}

	if stats, err := reader.Inspect(true); err != nil || stats.BlockCount != uint64(len(nodes)) {
		t.Errorf("%+v, %v", stats, err)
	}
	data, err := reader.DataReader()
	if err != nil {
		t.Fatal(err)
	}

	if got, err := io.ReadAll(data); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes of the shard, %v", len(got), err)
	}

	// This reader trusts the index of the file.
	opened, err := storage.OpenReadable(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}

	if _, ok := opened.(*storage.StorageCar).Index().(*index.MultihashIndexSorted); !ok {
		t.Errorf("the index is a %T", opened.(*storage.StorageCar).Index())
	}
	for _, node := range nodes {
		id := car.ShardCID(node.Digest) // the codec of a CID does not matter
		got, err := opened.Get(t.Context(), id.KeyString())
		if err != nil || sqlrepo.Digest(sha256.Sum256(got)) != node.Digest {
			t.Errorf("block of %d bytes: %d bytes, %v", node.Length, len(got), err)
		}
	}
}

func TestACARv2ThatCanNotBeWritten(t *testing.T) {
	content, nodes := someShard(t)
	size := int64(len(content))
	if err := shard.WriteV2(io.Discard, size+1, bytes.NewReader(content), each(nodes, nil)); err == nil ||
		!strings.Contains(err.Error(), "bytes instead of") {
		t.Errorf("a shard that is cut: %v", err)
	}

	err := shard.WriteV2(io.Discard, size, bytes.NewReader(content), each(nodes, os.ErrClosed))
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("nodes that can't be read: %v", err)
	}

	var whole bytes.Buffer
	if err := shard.WriteV2(&whole, size, bytes.NewReader(content), each(slices.Clone(nodes), nil)); err != nil {
		t.Fatal(err)
	}

	// A failing writer is noticed wherever it fails.
	for limit := range whole.Len() / 64 {
		err := shard.WriteV2(&full{left: 64 * limit}, size, bytes.NewReader(content), each(nodes, nil))
		if !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("with room for %d bytes: %v", 64*limit, err)
		}
	}
}

// full accepts some bytes and then fails.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}
