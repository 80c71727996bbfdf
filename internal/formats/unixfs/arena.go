package unixfs

import (
	"encoding/binary"
	"iter"
	"slices"

	"github.com/twmb/murmur3"
)

// record is a directory entry. Its bytes are valid until the iterator that yields it moves on.
type record struct {
	hash      uint64
	tsize     uint64
	cid, name []byte
}

// arena holds the encoded records of directory entries and an index over them. It needs no pointer for each entry.
type arena struct {
	buf   []byte
	index []recordSlot
}

type recordSlot struct {
	hash   uint64
	offset int
}

func (a *arena) add(name string, l Link) {
	a.index = append(a.index, recordSlot{hash: murmur3.StringSum64(name), offset: len(a.buf)})
	a.buf = binary.AppendUvarint(a.buf, l.Tsize)
	a.buf = binary.AppendUvarint(a.buf, uint64(l.CID.ByteLen()))
	a.buf = binary.AppendUvarint(a.buf, uint64(len(name)))
	a.buf = append(a.buf, l.CID.KeyString()...)
	a.buf = append(a.buf, name...)
}

// decode reads the record at the start of b. It also returns the record's encoded length.
func decode(hash uint64, b []byte) (record, int) {
	tsize, n1 := binary.Uvarint(b)
	cidLen, n2 := binary.Uvarint(b[n1:])
	nameLen, n3 := binary.Uvarint(b[n1+n2:])

	cid := n1 + n2 + n3
	name := cid + int(cidLen)
	end := name + int(nameLen)
	return record{hash: hash, tsize: tsize, cid: b[cid:name], name: b[name:end]}, end
}

func (a *arena) sort() {
	slices.SortFunc(a.index, func(x, y recordSlot) int {
		switch {
		case x.hash < y.hash:
			return -1
		case x.hash > y.hash:
			return 1
		}
		return x.offset - y.offset
	})
}

// all returns the entries in the order of the index.
func (a *arena) all() iter.Seq[record] {
	return func(yield func(record) bool) {
		for _, s := range a.index {
			if r, _ := decode(s.hash, a.buf[s.offset:]); !yield(r) {
				return
			}
		}
	}
}

// reset empties the arena but keeps its memory.
func (a *arena) reset() {
	a.buf, a.index = a.buf[:0], a.index[:0]
}
