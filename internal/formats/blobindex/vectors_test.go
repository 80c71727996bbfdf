package blobindex_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
)

func encoded(t interface{ Fatal(...any) }, layout blobindex.Layout, index blobindex.Index) []byte {
	var out bytes.Buffer
	if err := blobindex.Encode(context(), &out, layout, index); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func content() cid.Cid {
	hash, err := multihash.Sum([]byte("root"), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, hash)
}

// vector returns an index of one shard with one slice, whose bytes are known.
func vector() blobindex.Index {
	return blobindex.Index{Content: content(), Shards: []blobindex.Shard{{
		Digest: sha256.Sum256([]byte("shard")),
		Slices: []blobindex.Slice{{Digest: sha256.Sum256([]byte("hello")), Offset: 55, Length: 5}},
	}}}
}

func TestVectors(t *testing.T) {
	const slice = "8258221220df3598cd66f1bb5bc4e2c17be89b7c7ecf0c81e53939f471a6b72db8d139edae81" +
		"%58221220" + "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	for layout, want := range map[blobindex.Layout]string{
		blobindex.Storacha: strings.Replace(slice, "%", "82", 1) + "82183705",
		blobindex.Forge:    strings.Replace(slice, "%", "82", 1) + "821837183b",
		blobindex.Spec:     strings.Replace(slice, "%", "83", 1) + "183705",
	} {
		if got := hex.EncodeToString(encoded(t, layout, vector())); !strings.HasSuffix(got, want) {
			t.Errorf("%s:\n%s\nwant the block\n%s", layout, got, want)
		}
	}
}

func TestTheContentIsNamedUnlessTheLayoutHasNone(t *testing.T) {
	for _, layout := range blobindex.Layouts() {
		index, found, err := blobindex.Decode(bytes.NewReader(encoded(t, layout, vector())))
		if err != nil || found != layout {
			t.Fatalf("%s: taken for %s, %v", layout, found, err)
		}
		if named := index.Content.Equals(content()); named == (layout == blobindex.Forge) {
			t.Errorf("%s names %s", layout, index.Content)
		}
	}
}

func drawIndex(t *rapid.T) blobindex.Index {
	digests := rapid.Custom(func(t *rapid.T) [32]byte {
		return [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
	})
	slice := rapid.Custom(func(t *rapid.T) blobindex.Slice {
		return blobindex.Slice{Digest: digests.Draw(t, "of"), Offset: rapid.Int64Range(0, 1<<40).Draw(t, "offset"),
			Length: rapid.Int64Range(0, 1<<40).Draw(t, "length")}
	})
	shard := rapid.Custom(func(t *rapid.T) blobindex.Shard {
		return blobindex.Shard{Digest: digests.Draw(t, "shard"), Slices: rapid.SliceOfN(slice, 1, 20).Draw(t, "slices")}
	})
	shards := rapid.SliceOfNDistinct(shard, 1, 5, func(s blobindex.Shard) [32]byte { return s.Digest })
	return blobindex.Index{Content: content(), Shards: shards.Draw(t, "shards")}
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		layout := rapid.SampledFrom(blobindex.Layouts()).Draw(t, "layout")
		index := drawIndex(t)
		first := encoded(t, layout, index)
		got, found, err := blobindex.Decode(bytes.NewReader(first))
		if err != nil || found != layout || got.Slices() != index.Slices() {
			t.Fatalf("%s, %d slices, %v", found, got.Slices(), err)
		}

		got.Content = index.Content
		if !bytes.Equal(encoded(t, layout, got), first) {
			t.Error("it is not the same again")
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		index := drawIndex(t)
		first := encoded(t, blobindex.Storacha, index)
		index.Shards = rapid.Permutation(index.Shards).Draw(t, "other shards")
		for i := range index.Shards {
			index.Shards[i].Slices = rapid.Permutation(index.Shards[i].Slices).Draw(t, "other slices")
		}
		if !bytes.Equal(encoded(t, blobindex.Storacha, index), first) {
			t.Error("the bytes depend on the order")
		}
	})
}

func TestLimits(t *testing.T) {
	for layout, most := range map[blobindex.Layout]int64{
		blobindex.Storacha: 131_072, blobindex.Spec: 131_072, blobindex.Forge: 8_192,
	} {
		for slices, ok := range map[int64]bool{-1: false, 0: false, 1: false, 2: true, most: true, most + 1: false} {
			if err := layout.CheckSlices(slices); (err == nil) != ok {
				t.Errorf("%s, %d slices: %v", layout, slices, err)
			}
		}
	}
	if _, err := blobindex.ParseLayout("cbor"); err == nil || !strings.Contains(err.Error(), "storacha, forge or spec") {
		t.Errorf("%v", err)
	}
}

// TestLargestIndex encodes as many slices as any layout allows.
func TestLargestIndex(t *testing.T) {
	index := vector()
	slices := make([]blobindex.Slice, blobindex.Storacha.MaxSlices())
	for i := range slices {
		slices[i] = blobindex.Slice{Digest: sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}), Offset: 1 << 29,
			Length: 1 << 29}
	}

	index.Shards[0].Slices = slices
	got, _, err := blobindex.Decode(bytes.NewReader(encoded(t, blobindex.Storacha, index)))
	if err != nil || got.Slices() != int64(len(slices)) {
		t.Errorf("%d slices, %v", got.Slices(), err)
	}

	index.Shards = append(index.Shards, vector().Shards[0])
	_, _, err = blobindex.Decode(bytes.NewReader(encoded(t, blobindex.Storacha, index)))
	if !errors.Is(err, blobindex.ErrFormat) {
		t.Errorf("one more: %v", err)
	}
}
