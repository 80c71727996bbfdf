package car

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	gocar "github.com/ipld/go-car/v2"
	"github.com/ipld/go-car/v2/storage"
	"github.com/multiformats/go-multihash"
	"pgregory.net/rapid"
)

type block struct {
	codec byte
	data  []byte
}

func (b block) cid() cid.Cid {
	sum := sha256.Sum256(b.data)
	return cid.NewCidV1(uint64(b.codec), append([]byte{multihash.SHA2_256, sha256.Size}, sum[:]...))
}

// shard writes blocks the way the package is meant to be used.
func shard(blocks ...block) []byte {
	b := []byte(Header)
	for _, block := range blocks {
		b = AppendSectionHeader(b, block.codec, sha256.Sum256(block.data), int64(len(block.data)))
		b = append(b, block.data...)
	}
	return b
}

// readAll returns the blocks and the error that ended the reading. It checks that every offset leads to the data.
func readAll(t interface{ Fatalf(string, ...any) }, car []byte) ([]block, error) {
	r := NewReader(iotest.HalfReader(bytes.NewReader(car)))
	var blocks []block
	for {
		s, err := r.Next()
		if err != nil {
			return blocks, err
		}

		if at := car[s.Offset:][:len(s.Data)]; !bytes.Equal(at, s.Data) {
			t.Fatalf("the data of %s is not at offset %d", s.CID, s.Offset)
		}
		b := block{byte(s.CID.Type()), bytes.Clone(s.Data)}
		if b.cid() != s.CID {
			t.Fatalf("got the data of %s for %s", b.cid(), s.CID)
		}

		blocks = append(blocks, b)
	}
}

func drawBlocks(t *rapid.T) []block {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) block {
		codec := rapid.SampledFrom([]byte{cid.Raw, cid.DagProtobuf, cid.DagCBOR}).Draw(t, "codec")
		size := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(16300, 16400)).Draw(t, "size")
		return block{codec, bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, size)}
	}), 0, 8).Draw(t, "blocks")
}

func requireEqual(t *rapid.T, got, want []block) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d blocks, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].codec != want[i].codec || !bytes.Equal(got[i].data, want[i].data) {
			t.Fatalf("block %d: got %s, want %s", i, got[i].cid(), want[i].cid())
		}
	}
}

func TestHeader(t *testing.T) {
	if got := hex.EncodeToString([]byte(Header)); got != "11a265726f6f7473806776657273696f6e01" {
		t.Errorf("the header is %s", got)
	}
}

func TestShardSizes(t *testing.T) {
	if DefaultShardSize != 266338304 || MaxShardSize != 536870912 || MinShardSize != 128 {
		t.Error("a limit has changed")
	}
}

func TestShardCID(t *testing.T) {
	want, err := cid.V1Builder{Codec: 0x0202, MhType: multihash.SHA2_256}.Sum([]byte("shard"))
	if err != nil {
		t.Fatal(err)
	}
	if got := ShardCID(sha256.Sum256([]byte("shard"))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSectionSize(t *testing.T) {
	for _, n := range []int64{0, 1, 91, 92, 16347, 16348, 1 << 20, 2097115, 2097116} {
		header := AppendSectionHeader(nil, cid.Raw, [sha256.Size]byte{}, n)
		if got, want := SectionSize(n), int64(len(header))+n; got != want {
			t.Errorf("SectionSize(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestReaderReadsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawBlocks(t)
		car := shard(want...)

		size := int64(len(Header))
		for _, b := range want {
			size += SectionSize(int64(len(b.data)))
		}
		if size != int64(len(car)) {
			t.Fatalf("the sizes add up to %d, the shard has %d bytes", size, len(car))
		}

		got, err := readAll(t, car)
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}

		requireEqual(t, got, want)
	})
}

func TestGoCARReadsShards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawBlocks(t)
		r, err := gocar.NewBlockReader(bytes.NewReader(shard(want...)))
		if err != nil {
			t.Fatal(err)
		}

		if r.Version != 1 || len(r.Roots) != 0 {
			t.Fatalf("version %d, roots %v", r.Version, r.Roots)
		}

		var got []block
		for {
			b, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, block{byte(b.Cid().Type()), b.RawData()})
		}

		requireEqual(t, got, want)
	})
}

func TestReaderReadsGoCAR(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawBlocks(t)
		var car bytes.Buffer
		w, err := storage.NewWritable(&car, []cid.Cid{}, gocar.WriteAsCarV1(true), gocar.AllowDuplicatePuts(true))
		if err != nil {
			t.Fatal(err)
		}

		for _, b := range want {
			if err := put(w, b); err != nil {
				t.Fatal(err)
			}
		}

		got, err := readAll(t, car.Bytes())
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}

		requireEqual(t, got, want)
	})
}

func put(w storage.WritableCar, b block) error {
	bl, err := blocks.NewBlockWithCid(b.data, b.cid())
	if err != nil {
		return err
	}
	return w.Put(context.Background(), bl.Cid().KeyString(), bl.RawData())
}

func TestReaderRejects(t *testing.T) {
	valid := shard(block{cid.Raw, []byte("hello")}, block{cid.DagProtobuf, []byte("world")})
	second := len(Header) + int(SectionSize(5))
	change := func(at int, to ...byte) []byte {
		b := bytes.Clone(valid)
		copy(b[at:], to)
		return b
	}

	section := func(b ...byte) []byte { return append([]byte(Header), b...) }
	for _, c := range []struct {
		name string
		car  []byte
		want error
	}{
		{"empty", nil, io.ErrUnexpectedEOF},
		{"short header", valid[:10], io.ErrUnexpectedEOF},
		{"null roots", change(8, 0xf6), ErrFormat},
		{"version 2", change(17, 2), ErrFormat},
		{"cut after a length", valid[:second+1], io.ErrUnexpectedEOF},
		{"cut in a CID", valid[:second+20], io.ErrUnexpectedEOF},
		{"cut in the data", valid[:len(valid)-1], io.ErrUnexpectedEOF},
		{"cut in a length", section(0x80), io.ErrUnexpectedEOF},
		{"padded length", section(0xa9, 0x00), ErrFormat},
		{"length zero", section(0), ErrFormat},
		{"no room for a CID", section(CIDSize - 1), ErrFormat},
		{"huge length", section(0xff, 0xff, 0xff, 0x7f), ErrFormat},
		{"endless length", section(bytes.Repeat([]byte{0xff}, 20)...), ErrFormat},
		{"CIDv0", change(second+1, 0x12, 0x20), ErrFormat},
		{"long codec", change(second+2, 0x82), ErrFormat},
		{"other hash", change(second+3, multihash.SHA2_512), ErrFormat},
		{"short digest", change(second+4, 20), ErrFormat},
		{"other digest", change(second+5, ^valid[second+5]), ErrDigest},
		{"other data", change(len(valid)-1, 'D'), ErrDigest},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := readAll(t, c.car); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestReaderKeepsItsError(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(io.MultiReader(bytes.NewReader(shard(block{cid.Raw, nil})), iotest.ErrReader(broken)))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	}
}

// FuzzReader checks that, whatever the bytes are, the reader does not panic and needs little memory, and that what
// it accepted as a shard is what would be written.
func FuzzReader(f *testing.F) {
	f.Add(shard(block{cid.Raw, []byte("hello")}, block{cid.DagProtobuf, nil}))
	f.Add(append([]byte(Header), 0xff, 0xff, 0xff, 0x03))
	f.Add([]byte(Header))
	f.Fuzz(func(t *testing.T, car []byte) {
		blocks, err := readAll(t, car)
		if errors.Is(err, io.EOF) && !bytes.Equal(shard(blocks...), car) {
			t.Error("the shard would be written in another way")
		}

		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) &&
			!errors.Is(err, ErrFormat) && !errors.Is(err, ErrDigest) {
			t.Errorf("an error of no kind: %v", err)
		}
	})
}
