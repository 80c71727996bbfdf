// Package car writes and reads the CAR v1 files that shards are: no roots, and sections whose CIDs are CIDv1 with
// sha2-256 and take 36 bytes. The size of such a file is arithmetic on the sizes of its blocks.
package car

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Header is the start of every shard: version 1 and an empty list of roots. Strict readers refuse a list that is null.
const Header = "\x11\xa2\x65roots\x80\x67version\x01"

// CIDSize is the length of the CID in a section: version, codec, hash function and digest length take a byte each.
const CIDSize = 4 + sha256.Size

// Codec is the multicodec code of a CAR file.
const Codec = 0x0202

// Limits on the size of a shard.
const (
	// MinShardSize is the size of the smallest piece that storage providers know, and has room for a small block.
	MinShardSize = 128
	// MaxShardSize keeps a shard a thing that is sent in one request, and sent again when that fails.
	MaxShardSize = 512 << 20
	// DefaultShardSize fills a piece of 256 MiB: fr32 padding makes 128 bytes out of 127.
	DefaultShardSize = 256 << 20 / 128 * 127
)

// SectionSize returns the size of the section of a block with so many bytes of data.
func SectionSize(dataLen int64) int64 {
	body := CIDSize + dataLen
	var buf [binary.MaxVarintLen64]byte
	return int64(binary.PutUvarint(buf[:], uint64(body))) + body
}

// AppendSectionHeader appends what comes before the data of a block in its section. The codec is below 0x80, as those
// of raw and dag-pb blocks are, so that the CID takes CIDSize bytes.
func AppendSectionHeader(dst []byte, codec byte, digest [sha256.Size]byte, dataLen int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(CIDSize+dataLen))
	dst = append(dst, 1, codec, multihash.SHA2_256, sha256.Size)
	return append(dst, digest[:]...)
}

// ShardCID returns the CID of the shard whose bytes have this sha2-256 digest.
func ShardCID(digest [sha256.Size]byte) cid.Cid {
	return cid.NewCidV1(Codec, append([]byte{multihash.SHA2_256, sha256.Size}, digest[:]...))
}
