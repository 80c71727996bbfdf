package blobindex_test

import (
	"bytes"
	stdcontext "context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
)

func context() stdcontext.Context { return stdcontext.Background() }

func TestDamagedIndexesAreRefused(t *testing.T) {
	whole := encoded(t, blobindex.Storacha, vector())
	for i := int(whole[0]) + 1; i < len(whole); i++ { // after the header, some of whose bytes CAR readers ignore
		for name, damaged := range map[string][]byte{
			"cut":     whole[:i],
			"changed": append(append(bytes.Clone(whole[:i]), whole[i]^1), whole[i+1:]...),
		} {
			if _, _, err := blobindex.Decode(bytes.NewReader(damaged)); !errors.Is(err, blobindex.ErrFormat) {
				t.Errorf("%s at %d: %v", name, i, err)
			}
		}
	}
}

func TestALargeIndexIsNotReadToItsEnd(t *testing.T) {
	whole := encoded(t, blobindex.Storacha, vector())
	endless := io.MultiReader(bytes.NewReader(whole), strings.NewReader(strings.Repeat("\x01", blobindex.MaxSize+1)))
	if _, _, err := blobindex.Decode(endless); !errors.Is(err, blobindex.ErrFormat) {
		t.Errorf("%v", err)
	}
}

func TestAReaderThatFails(t *testing.T) {
	broken := errors.New("broken")
	whole := encoded(t, blobindex.Storacha, vector())
	for i := range whole {
		from := io.MultiReader(bytes.NewReader(whole[:i]), iotest.ErrReader(broken))
		if _, _, err := blobindex.Decode(from); !errors.Is(err, broken) || errors.Is(err, blobindex.ErrFormat) {
			t.Errorf("at %d: %v", i, err)
		}
	}
}

func TestNothingIsEncodedWhenTheContextHasEnded(t *testing.T) {
	ctx, cancel := stdcontext.WithCancel(t.Context())
	cancel()
	if err := blobindex.Encode(ctx, io.Discard, blobindex.Storacha, vector()); !errors.Is(err, stdcontext.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestTheNameOfAnIndexTellsItsDigest(t *testing.T) {
	digest := sha256.Sum256([]byte("index"))
	name := blobindex.Name(digest)
	if got, ok := blobindex.ParseName(name); !ok || got != digest {
		t.Errorf("%x, %t", got, ok)
	}
	for _, other := range []string{"", ".idx", "a.idx", strings.TrimSuffix(name, ".idx"),
		strings.TrimSuffix(name, "idx") + "car",
		name + ".damaged", "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi.idx"} {
		if _, ok := blobindex.ParseName(other); ok {
			t.Errorf("%q is taken for the name of an index", other)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, layout := range blobindex.Layouts() {
		f.Add(encoded(f, layout, vector()))
	}

	f.Fuzz(func(t *testing.T, raw []byte) {
		index, layout, err := blobindex.Decode(bytes.NewReader(raw))
		if err != nil {
			return
		}

		for _, shard := range index.Shards {
			for _, slice := range shard.Slices {
				if slice.Offset < 0 || slice.Length < 0 || slice.Offset+slice.Length < 0 {
					t.Fatalf("%s: %+v", layout, slice)
				}
			}
		}

		encoded(t, layout, index)
	})
}
