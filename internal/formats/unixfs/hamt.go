package unixfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

const (
	murmur3x64 = 0x22 // multihash code of the HAMT's hash function
	hamtFanout = 256
	hamtDepth  = 8 // one level for each byte of the hash
)

// ErrHashCollision is returned when two names of a directory have the same 64-bit hash. No HAMT can hold both.
var ErrHashCollision = errors.New("two directory entries have names of equal hash")

// hamt builds a hash array mapped trie from entries in the order of their hashes. Only the shards on the path to
// the latest entry are open. An entry lies at the depth where its hash differs from those of both neighbours, so
// each entry is held until the next one is known.
type hamt struct {
	emit   func(Block) error
	shards [hamtDepth]hamtShard
	open   int // shards in use, from the root down

	held   record // its bytes are copies
	holds  bool
	shared int // number of leading bytes that the hashes of the held entry and the previous one share
}

func newHAMT(emit func(Block) error) *hamt {
	return &hamt{emit: emit, open: 1}
}

func (h *hamt) add(r record) error {
	if h.holds {
		if r.hash == h.held.hash {
			return fmt.Errorf("%w: %q and %q", ErrHashCollision, h.held.name, r.name)
		}
		if err := h.place(bits.LeadingZeros64(r.hash^h.held.hash) / 8); err != nil {
			return err
		}
	}

	h.holds = true
	h.held.hash, h.held.tsize = r.hash, r.tsize
	h.held.cid = append(h.held.cid[:0], r.cid...)
	h.held.name = append(h.held.name[:0], r.name...)
	return nil
}

// place puts the held entry into its shard, then finishes the shards that do not contain the next entry. shared is
// the number of leading bytes that the hashes of the held entry and the next one share.
func (h *hamt) place(shared int) error {
	depth := max(h.shared, shared)
	h.open = max(h.open, depth+1)
	h.shards[depth].add(h.index(depth), h.held.cid, h.held.name, h.held.tsize)

	for ; h.open > shared+1; h.open-- {
		l, err := h.shards[h.open-1].finish(h.emit)
		if err != nil {
			return err
		}
		h.shards[h.open-2].add(h.index(h.open-2), l.CID.Bytes(), nil, l.Tsize)
	}

	h.shared = shared
	return nil
}

// index returns the position of the held entry's hash in a shard of that depth.
func (h *hamt) index(depth int) byte {
	return byte(h.held.hash >> (8 * (hamtDepth - 1 - depth)))
}

func (h *hamt) close() (Link, error) {
	if h.holds {
		if err := h.place(0); err != nil {
			return Link{}, err
		}
	}
	return h.shards[0].finish(h.emit)
}

// hamtShard is a node that is still being filled, in the order of its positions. Its links are kept in encoded
// form.
type hamtShard struct {
	links, name []byte
	bitfield    [hamtFanout / 64]uint64 // most significant word first
	tsize       uint64
}

// add adds an entry or a shard. A shard has no name of its own.
func (s *hamtShard) add(index byte, cid, name []byte, tsize uint64) {
	const digits = "0123456789ABCDEF"
	s.name = append(s.name[:0], digits[index>>4], digits[index&15])
	s.name = append(s.name, name...)
	s.links = appendLink(s.links, cid, s.name, tsize)
	s.bitfield[len(s.bitfield)-1-int(index/64)] |= 1 << (index % 64)
	s.tsize += tsize
}

// finish emits the shard and empties it. Its buffers are kept for the next shard of the depth.
func (s *hamtShard) finish(emit func(Block) error) (Link, error) {
	meta := hamtData(s.encodeBitfield())
	b := newBlock(appendData(append(make([]byte, 0, len(s.links)+len(meta)+8), s.links...), meta))
	l := Link{CID: b.CID, Tsize: s.tsize + uint64(len(b.Data))}
	*s = hamtShard{links: s.links[:0], name: s.name[:0]}
	return l, emit(b)
}

// encodeBitfield returns the bitfield as a big-endian number without leading zero bytes.
func (s *hamtShard) encodeBitfield() []byte {
	var b []byte
	for _, word := range s.bitfield {
		b = binary.BigEndian.AppendUint64(b, word)
	}
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}
