package piece_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	commcid "github.com/filecoin-project/go-fil-commcid"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/formats/piece"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func rootOf(tb testing.TB, data []byte) [piece.RootSize]byte {
	tb.Helper()
	var h piece.Hash
	defer h.Close()
	if _, err := h.Write(data); err != nil {
		tb.Fatal(err)
	}
	root, err := h.Root()
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

func cidOf(tb testing.TB, data []byte) string {
	tb.Helper()
	c, err := piece.CID(rootOf(tb, data), int64(len(data)))
	if err != nil {
		tb.Fatal(err)
	}
	return c.String()
}

// quads returns runs of 127 bytes of each value, followed by some zeros.
func quads(length, values, zeros int) (data []byte) {
	for value := range values {
		data = append(data, bytes.Repeat([]byte{byte(value)}, length)...)
	}
	return append(data, make([]byte, zeros)...)
}

// TestVectors checks the vectors of FRC-0069.
func TestVectors(t *testing.T) {
	for _, test := range []struct {
		data []byte
		want string
	}{
		{nil, "bafkzcibcp4bdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy"},
		{make([]byte, 127), "bafkzcibcaabdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy"},
		{make([]byte, 128), "bafkzcibcpybwiktap34inmaex4wbs6cghlq5i2j2yd2bb2zndn5ep7ralzphkdy"},
		{quads(127, 4, 0), "bafkzcibcaaces3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi"},
		{quads(127, 4, 4*127), "bafkzcibcaac542av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa"},
		{quads(127, 4, 4), "bafkzcibd7abqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4"},
		{quads(127, 4, 5), "bafkzcibd64bqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4"},
	} {
		if got := cidOf(t, test.data); got != test.want {
			t.Errorf("%d bytes: %s, want %s", len(test.data), got, test.want)
		}
	}
}

// TestRootsAreThoseOfThePlainTree compares the roots of random data, written in random parts, with a slow
// implementation.
func TestRootsAreThoseOfThePlainTree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(0, 600), rapid.IntRange(0, 200_000)).Draw(rt, "size")
		data := make([]byte, size)

		// A xorshift generator is much faster than drawing each byte.
		for state, i := rapid.Uint64().Draw(rt, "seed")|1, 0; i < size; i++ {
			state ^= state << 13
			state ^= state >> 7
			state ^= state << 17
			data[i] = byte(state)
		}

		var h piece.Hash
		defer h.Close()

		// The root must not depend on how the data is divided.
		for rest := data; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "part")
			_, err := h.Write(rest[:n])
			if err != nil {
				rt.Fatal(err)
			}
			rest = rest[n:]
		}

		root, err := h.Root()
		if err != nil {
			rt.Fatal(err)
		}

		if want := slowRoot(data); root != want {
			rt.Fatalf("%d bytes: %x, want %x", size, root, want)
		}
	})
}

// TestCIDsAreThoseOfTheLibrary reads the length and root of a CID back, for data that the library can make CIDs
// for.
func TestCIDsAreThoseOfTheLibrary(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root := [piece.RootSize]byte(rapid.SliceOfN(rapid.Byte(), piece.RootSize, piece.RootSize).Draw(rt, "root"))
		size := rapid.Int64Range(piece.Least, 512<<20).Draw(rt, "size")
		c, err := piece.CID(root, size)
		if err != nil {
			rt.Fatal(err)
		}

		want, err := commcid.DataCommitmentToPieceCidv2(root[:], uint64(size))
		if err != nil || c != want {
			rt.Errorf("%d bytes: %s, want %s: %v", size, c, want, err)
		}

		back, length, err := commcid.PieceCidV2ToDataCommitment(c)
		if err != nil || length != uint64(size) || !bytes.Equal(back, root[:]) {
			rt.Errorf("%d bytes with root %x, want %d and %x: %v", length, back, size, root, err)
		}
	})
}

func TestAHashThatIsClosedLeavesNothing(t *testing.T) {
	var h piece.Hash
	for range 2 {
		if _, err := h.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		h.Close()
		h.Close()
	}
}

// slowRoot follows the specification: 254 bits of data become 256, the leaves are padded with zeros to a power of
// two, and each node is the hash of the two below it without its two highest bits.
func slowRoot(data []byte) (root [32]byte) {
	leaves := 4
	for leaves*254 < len(data)*8 {
		leaves *= 2
	}

	level := make([][32]byte, leaves)
	for bit := range len(data) * 8 {
		if data[bit/8]>>(bit%8)&1 == 1 {
			level[bit/254][bit%254/8] |= 1 << (bit % 254 % 8)
		}
	}

	for len(level) > 1 {
		above := make([][32]byte, len(level)/2)
		for i := range above {
			above[i] = sha256.Sum256(append(level[2*i][:], level[2*i+1][:]...))
			above[i][31] &= 0x3f
		}

		level = above
	}
	return level[0]
}
