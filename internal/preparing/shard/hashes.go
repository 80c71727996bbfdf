package shard

import (
	"crypto/sha256"
	"hash"
	"io"

	"github.com/guppy-prep/guppy/internal/formats/piece"
)

// Option changes how a shard is built.
type Option func(*Builder)

// WithPiece has the root of the shard's piece CID computed while it is written, if that is wanted.
func WithPiece(wanted bool) Option {
	return func(b *Builder) {
		if wanted {
			b.hashes.piece = &piece.Hash{}
		}
	}
}

// hashes are what is computed of a shard as a whole.
type hashes struct {
	whole hash.Hash
	// piece is nil when it is not wanted.
	piece *piece.Hash
}

func (h hashes) writers() []io.Writer {
	if h.piece == nil {
		return []io.Writer{h.whole}
	}
	return []io.Writer{h.whole, h.piece}
}

// sums are the digest of all that was written and, where it is wanted, the root of the piece CID.
func (h hashes) sums() (digest [sha256.Size]byte, root []byte, err error) {
	digest = [sha256.Size]byte(h.whole.Sum(nil))
	if h.piece == nil {
		return digest, nil, nil
	}
	sum, err := h.piece.Root()
	return digest, sum[:], err
}

// close ends what is under way.
func (h hashes) close() {
	if h.piece != nil {
		h.piece.Close()
	}
}
