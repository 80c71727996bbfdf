package piece_test

import (
	"crypto/sha256"
	"io"
	"testing"

	"github.com/guppy-prep/guppy/internal/formats/piece"
)

// BenchmarkHash also measures the hash of a shard's digest for comparison.
func BenchmarkHash(b *testing.B) {
	data := make([]byte, 8<<20)
	for name, hash := range map[string]io.Writer{"piece": &piece.Hash{}, "sha256": sha256.New()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for range b.N {
				if _, err := hash.Write(data); err != nil {
					b.Fatal(err)
				}
			}

			if root, ok := hash.(*piece.Hash); ok {
				root.Close()
			}
		})
	}
}
