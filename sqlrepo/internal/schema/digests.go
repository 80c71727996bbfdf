package schema

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// PrefixLength is how many bytes of a digest are in the column nodes.prefix, by which nodes are found. The others are
// in nodes.suffix.
const PrefixLength = 8

// CIDLength is the length of a CIDv1 with sha2-256 and a short codec.
const CIDLength = 36

// ErrDigestLength is returned for a suffix that makes no digest.
var ErrDigestLength = errors.New("a digest of another length")

// SplitDigest returns the first 64 bits of a digest, as a signed number in big-endian order, and the other bytes.
func SplitDigest(digest []byte) (prefix int64, suffix []byte) {
	return int64(binary.BigEndian.Uint64(digest[:PrefixLength])), digest[PrefixLength:]
}

// JoinDigest is the inverse of SplitDigest. It rejects a suffix of another length.
func JoinDigest(prefix int64, suffix []byte) (digest [sha256.Size]byte, err error) {
	if len(suffix) != len(digest)-PrefixLength {
		return digest, fmt.Errorf("%w: %d bytes", ErrDigestLength, PrefixLength+len(suffix))
	}
	binary.BigEndian.PutUint64(digest[:], uint64(prefix))
	copy(digest[PrefixLength:], suffix)
	return digest, nil
}
