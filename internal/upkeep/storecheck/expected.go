package storecheck

import "encoding/binary"

// expected are blobs by the first 64 bits of their digests: a million of them take little.
type expected map[uint64]known

type known struct {
	size int64
	seen bool
}

func keyOf(digest []byte) uint64 { return binary.BigEndian.Uint64(digest) }

func (e expected) add(r row) {
	if len(r.digest) == 32 {
		e[keyOf(r.digest)] = known{size: r.size}
	}
}

// see notes that a blob is there.
func (e expected) see(digest [32]byte) (size int64, ok bool) {
	found, ok := e[keyOf(digest[:])]
	if ok {
		e[keyOf(digest[:])] = known{found.size, true}
	}
	return found.size, ok
}

func (e expected) seen(r row) bool { return len(r.digest) == 32 && e[keyOf(r.digest)].seen }

func (e expected) all() bool {
	for _, blob := range e {
		if !blob.seen {
			return false
		}
	}
	return true
}
