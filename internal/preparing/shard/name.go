package shard

import (
	"crypto/sha256"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/guppy-prep/guppy/internal/formats/car"
)

const extension = ".car"

// Name returns the name of the shard with this digest in a store.
func Name(digest [sha256.Size]byte) string { return car.ShardCID(digest).String() + extension }

// ParseName is the inverse of Name. It returns false for a name that no shard can have.
func ParseName(name string) (digest [sha256.Size]byte, ok bool) {
	text, ends := strings.CutSuffix(name, extension)
	parsed, err := cid.Decode(text)
	if !ends || err != nil || parsed.Type() != car.Codec {
		return digest, false
	}

	hash, err := multihash.Decode(parsed.Hash())
	if err != nil || hash.Code != multihash.SHA2_256 || len(hash.Digest) != sha256.Size {
		return digest, false
	}

	digest = [sha256.Size]byte(hash.Digest)
	return digest, Name(digest) == name
}
