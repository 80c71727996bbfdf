// Package blobindex is the format of sharded DAG indexes (index/sharded/dag@0.1): CAR files that tell, for each of some
// shards, where the blocks of a DAG lie in it.
package blobindex

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/formats/car"
)

// ErrFormat is returned for bytes that are not an index in any of the layouts.
var ErrFormat = errors.New("malformed index")

// Layout is one of the ways in which indexes are laid out under the same label.
type Layout string

// The layouts.
const (
	// Storacha is that of Storacha's libraries: slices are [multihash, [offset, length]].
	Storacha Layout = "storacha"
	// Forge is that of fil-forge: slices are [multihash, [first, last]], and the content is not named.
	Forge Layout = "forge"
	// Spec is that of the text of the specification: slices are [multihash, offset, length].
	Spec Layout = "spec"
)

// Layouts are all of them.
func Layouts() []Layout { return []Layout{Storacha, Forge, Spec} }

// ParseLayout returns the layout of this name, or an error that lists those there are.
func ParseLayout(name string) (Layout, error) {
	if layout := Layout(name); slices.Contains(Layouts(), layout) {
		return layout, nil
	}
	return "", fmt.Errorf("unknown index layout %q: there are %s, %s and %s", name, Storacha, Forge, Spec)
}

// MinSlices is the least that an index can be limited to: the shard as a whole, and one block.
const MinSlices = 2

// MaxSlices is the most slices that readers of the layout accept.
func (l Layout) MaxSlices() int64 {
	if l == Forge {
		return 8_192
	}
	return 131_072
}

// CheckSlices tells whether indexes of the layout may be limited to so many slices.
func (l Layout) CheckSlices(slices int64) error {
	if slices < MinSlices || slices > l.MaxSlices() {
		return fmt.Errorf("an index of the layout %s has from %d to %d slices, not %d", l, MinSlices, l.MaxSlices(), slices)
	}
	return nil
}

// Slice is a range of a shard that has a digest: the bytes of a block, or the whole shard.
type Slice struct {
	Digest         [sha256.Size]byte
	Offset, Length int64
}

// Shard is what an index tells of one shard.
type Shard struct {
	Digest [sha256.Size]byte
	Slices []Slice
}

// Index tells where the blocks of a DAG lie.
type Index struct {
	// Content is the root of the DAG. It is undefined in an index of the layout Forge.
	Content cid.Cid
	Shards  []Shard
}

// Slices counts those of all shards.
func (i Index) Slices() (n int64) {
	for _, shard := range i.Shards {
		n += int64(len(shard.Slices))
	}
	return n
}

// Sort puts shards and slices in the order of their digests, as they are written.
func (i Index) Sort() {
	slices.SortFunc(i.Shards, func(a, b Shard) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	for _, shard := range i.Shards {
		slices.SortFunc(shard.Slices, func(a, b Slice) int {
			return cmp.Or(bytes.Compare(a.Digest[:], b.Digest[:]), cmp.Compare(a.Offset, b.Offset))
		})
	}
}

// CID is that of an index whose bytes have this digest.
func CID(digest [sha256.Size]byte) cid.Cid { return car.ShardCID(digest) }

const extension = ".idx"

// Name is what the index with this digest is called in a store.
func Name(digest [sha256.Size]byte) string { return CID(digest).String() + extension }

// ParseName is the inverse of Name: ok tells whether an index may be called so.
func ParseName(name string) (digest [sha256.Size]byte, ok bool) {
	text, ends := strings.CutSuffix(name, extension)
	parsed, err := cid.Decode(text)
	if !ends || err != nil || parsed.Type() != car.Codec || !isSHA256(parsed.Hash()) {
		return digest, false
	}
	digest = [sha256.Size]byte(parsed.Hash()[2:])
	return digest, Name(digest) == name
}
