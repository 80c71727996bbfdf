// Package blobindex reads and writes sharded DAG indexes (index/sharded/dag@0.1). These are CAR files that list,
// for each of some shards, where the blocks of a DAG lie in the shard.
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

// ErrFormat is returned for bytes that are not an index in any layout.
var ErrFormat = errors.New("malformed index")

// Layout is one of the layouts that indexes have under the same label.
type Layout string

// The layouts.
const (
	// Storacha is the layout of Storacha's libraries: slices are [multihash, [offset, length]].
	Storacha Layout = "storacha"
	// Forge is the layout of fil-forge: slices are [multihash, [first, last]], and the content is not named.
	Forge Layout = "forge"
	// Spec is the layout in the text of the specification: slices are [multihash, offset, length].
	Spec Layout = "spec"
)

// Layouts returns all layouts.
func Layouts() []Layout { return []Layout{Storacha, Forge, Spec} }

// ParseLayout returns the layout with this name, or an error that lists the known layouts.
func ParseLayout(name string) (Layout, error) {
	if layout := Layout(name); slices.Contains(Layouts(), layout) {
		return layout, nil
	}
	return "", fmt.Errorf("unknown index layout %q: choose %s, %s or %s", name, Storacha, Forge, Spec)
}

// MinSlices is the smallest limit on the slices of an index: the shard as a whole, and one block.
const MinSlices = 2

// MaxSlices returns the largest number of slices that readers of the layout accept.
func (l Layout) MaxSlices() int64 {
	if l == Forge {
		return 8_192
	}
	return 131_072
}

// CheckSlices returns an error unless indexes of the layout may be limited to this number of slices.
func (l Layout) CheckSlices(slices int64) error {
	if slices < MinSlices || slices > l.MaxSlices() {
		return fmt.Errorf("an index of the layout %s has from %d to %d slices, not %d", l, MinSlices, l.MaxSlices(), slices)
	}
	return nil
}

// Slice is a range of a shard with its digest: a block, or the whole shard.
type Slice struct {
	Digest         [sha256.Size]byte
	Offset, Length int64
}

// Shard is the part of an index about one shard.
type Shard struct {
	Digest [sha256.Size]byte
	Slices []Slice
}

// Index lists where the blocks of a DAG lie.
type Index struct {
	// Content is the root of the DAG. It is undefined in an index of the layout Forge.
	Content cid.Cid
	Shards  []Shard
}

// Slices returns the number of slices of all shards.
func (i Index) Slices() (n int64) {
	for _, shard := range i.Shards {
		n += int64(len(shard.Slices))
	}
	return n
}

// Sort puts shards and slices in the order in which they are written: by digest.
func (i Index) Sort() {
	slices.SortFunc(i.Shards, func(a, b Shard) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	for _, shard := range i.Shards {
		slices.SortFunc(shard.Slices, func(a, b Slice) int {
			return cmp.Or(bytes.Compare(a.Digest[:], b.Digest[:]), cmp.Compare(a.Offset, b.Offset))
		})
	}
}

// CID returns the CID of the index whose bytes have this digest.
func CID(digest [sha256.Size]byte) cid.Cid { return car.ShardCID(digest) }

const extension = ".idx"

// Name returns the name of the index with this digest in a store.
func Name(digest [sha256.Size]byte) string { return CID(digest).String() + extension }

// ParseName is the inverse of Name. It returns false for a name that no index can have.
func ParseName(name string) (digest [sha256.Size]byte, ok bool) {
	text, ends := strings.CutSuffix(name, extension)
	parsed, err := cid.Decode(text)
	if !ends || err != nil || parsed.Type() != car.Codec || !isSHA256(parsed.Hash()) {
		return digest, false
	}

	digest = [sha256.Size]byte(parsed.Hash()[2:])
	return digest, Name(digest) == name
}
