// Package piece computes piece CIDs, version 2 (FRC-0069): the root of a binary tree of SHA-256 over data that is
// padded to a power of two, as proofs of storage know it.
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
	// Least is the length to which shorter data is padded with zeros: that of the smallest tree.
	Least = 127
	// Code is that of the multihash: fr32-sha256-trunc254-padbintree.
	Code = 0x1011
)

// Hash computes the root of what is written to it. The zero value is ready for use; either Root or Close ends it.
type Hash struct {
	calc commp.Calc
	size int64
}

// Write never fails for data as long as a shard may be.
func (h *Hash) Write(p []byte) (int, error) {
	n, err := h.calc.Write(p)
	h.size += int64(n)
	return n, err
}

// Root is that of all that was written. The hash begins anew after it.
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

// Close ends what runs for a root that nobody asks for any more. It may be called more than once, and after Root.
func (h *Hash) Close() { h.calc.Reset() }

// ParseRoot is CID for a root that was kept as bytes.
func ParseRoot(root []byte, size int64) (cid.Cid, error) {
	if len(root) != RootSize {
		return cid.Undef, fmt.Errorf("piece: a root of %d bytes instead of %d", len(root), RootSize)
	}
	return CID([RootSize]byte(root), size)
}

// CID is that of data with a root and a length: the height of the tree and the padding follow from the length, so that
// nothing else has to be kept.
func CID(root [RootSize]byte, size int64) (cid.Cid, error) {
	height, padding, err := commcid.PayloadSizeToV1TreeHeightAndPadding(uint64(max(size, Least)))
	if err != nil {
		return cid.Undef, fmt.Errorf("piece: %w", err)
	}
	padding += uint64(max(0, Least-size))
	digest := append(binary.AppendUvarint(nil, padding), height)
	hash, err := multihash.Encode(append(digest, root[:]...), Code)
	if err != nil {
		return cid.Undef, fmt.Errorf("piece: %w", err)
	}
	return cid.NewCidV1(cid.Raw, hash), nil
}
