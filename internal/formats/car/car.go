// Package car writes and reads shards as CAR v1 files. A shard has no roots, and the CID of each section is a CIDv1
// with sha2-256, which takes 36 bytes. So the size of a shard can be computed from the sizes of its blocks.
package car

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Header is the start of every shard: version 1 and an empty list of roots. Strict readers reject a null list.
const Header = "\x11\xa2\x65roots\x80\x67version\x01"

// CIDSize is the length of the CID in a section: version, codec, hash function and digest length take a byte each.
const CIDSize = 4 + sha256.Size

// Codec is the multicodec code of a CAR file.
const Codec = 0x0202

// Limits on the size of a shard.
const (
	// MinShardSize is the size of the smallest piece that storage providers accept. A small block fits it.
	MinShardSize = 128
	// MaxShardSize keeps shards small enough to be sent in one request, and to be sent again if that fails.
	MaxShardSize = 512 << 20
	// DefaultShardSize fills a piece of 256 MiB: fr32 padding turns 127 bytes into 128.
	DefaultShardSize = 256 << 20 / 128 * 127
)

// SectionSize returns the size of the section of a block with dataLen bytes of data.
func SectionSize(dataLen int64) int64 {
	body := CIDSize + dataLen
	var buf [binary.MaxVarintLen64]byte
	return int64(binary.PutUvarint(buf[:], uint64(body))) + body
}

// AppendSectionHeader appends the part of a block's section that comes before the data. The codec must be below
// 0x80, as those of raw and dag-pb blocks are, so that the CID takes CIDSize bytes.
func AppendSectionHeader(dst []byte, codec byte, digest [sha256.Size]byte, dataLen int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(CIDSize+dataLen))
	dst = append(dst, 1, codec, multihash.SHA2_256, sha256.Size)
	return append(dst, digest[:]...)
}

// ShardCID returns the CID of the shard whose bytes have the given sha2-256 digest.
func ShardCID(digest [sha256.Size]byte) cid.Cid {
	return cid.NewCidV1(Codec, append([]byte{multihash.SHA2_256, sha256.Size}, digest[:]...))
}
