// Package piece computes piece CIDs of version 2 (FRC-0069). They contain the root of a binary SHA-256 tree over
// data that is padded to a power of two, as used by proofs of storage.
package piece

import (
	"encoding/binary"
	"fmt"

	commcid "github.com/filecoin-project/go-fil-commcid"
	commp "github.com/filecoin-project/go-fil-commp-hashhash"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

const (
	// RootSize is the length of a root.
	RootSize = 32
	// Least is the length to which shorter data is padded with zeros. It is the length of the smallest tree.
	Least = 127
	// Code is the multihash code of fr32-sha256-trunc254-padbintree.
	Code = 0x1011
)

// Hash computes the root of the data written to it. The zero value is ready for use. Callers must end it with Root
// or Close.
type Hash struct {
	calc commp.Calc
	size int64
}

// Write never fails for data no longer than a shard.
func (h *Hash) Write(p []byte) (int, error) {
	n, err := h.calc.Write(p)
	h.size += int64(n)
	return n, err
}

// Root returns the root of all data written, and resets the hash.
func (h *Hash) Root() (root [RootSize]byte, err error) {
	if h.size < Least {
		if _, err := h.calc.Write(make([]byte, Least-h.size)); err != nil {
			return root, fmt.Errorf("piece: %w", err)
		}
	}

	digest, _, err := h.calc.Digest()
	if err != nil {
		return root, fmt.Errorf("piece: %w", err)
	}

	h.size = 0
	return [RootSize]byte(digest), nil
}

// Close stops computing a root that is no longer needed. It may be called more than once, and after Root.
func (h *Hash) Close() { h.calc.Reset() }

// ParseRoot is like CID for a root in a byte slice.
func ParseRoot(root []byte, size int64) (cid.Cid, error) {
	if len(root) != RootSize {
		return cid.Undef, fmt.Errorf("piece: a root of %d bytes instead of %d", len(root), RootSize)
	}
	return CID([RootSize]byte(root), size)
}

// CID returns the piece CID of data with the given root and length. The height of the tree and the padding follow
// from the length, so nothing else has to be kept.
func CID(root [RootSize]byte, size int64) (cid.Cid, error) {
	height, padding, err := commcid.PayloadSizeToV1TreeHeightAndPadding(uint64(max(size, Least)))
	if err != nil {
		return cid.Undef, fmt.Errorf("piece: %w", err)
	}

	// The padding of data below the smallest tree is not included yet.
	padding += uint64(max(0, Least-size))
	digest := append(binary.AppendUvarint(nil, padding), height)
	hash, err := multihash.Encode(append(digest, root[:]...), Code)
	if err != nil {
		return cid.Undef, fmt.Errorf("piece: %w", err)
	}

	return cid.NewCidV1(cid.Raw, hash), nil
}
