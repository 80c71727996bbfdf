package shard

import (
	"crypto/sha256"
	"hash"
	"io"

	"github.com/guppy-prep/guppy/internal/formats/piece"
)

// Option configures a Builder.
type Option func(*Builder)

// WithPiece makes the builder compute the root of the shard's piece CID while it writes the shard, if wanted is
// true.
func WithPiece(wanted bool) Option {
	return func(b *Builder) {
		if wanted {
			b.hashes.piece = &piece.Hash{}
		}
	}
}

// hashes compute the digest and the piece root of a whole shard.
type hashes struct {
	whole hash.Hash
	// piece is nil if the root of the piece CID is not wanted.
	piece *piece.Hash
}

func (h hashes) writers() []io.Writer {
	if h.piece == nil {
		return []io.Writer{h.whole}
	}
	return []io.Writer{h.whole, h.piece}
}

// sums returns the digest of all that was written and, if wanted, the root of the piece CID.
func (h hashes) sums() (digest [sha256.Size]byte, root []byte, err error) {
	digest = [sha256.Size]byte(h.whole.Sum(nil))
	if h.piece == nil {
		return digest, nil, nil
	}
	sum, err := h.piece.Root()
	return digest, sum[:], err
}

// close stops the computation of a piece root that is no longer needed.
func (h hashes) close() {
	if h.piece != nil {
		h.piece.Close()
	}
}
