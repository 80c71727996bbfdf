package check

import (
	"encoding/binary"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// byDigest maps the digests of shards and indexes to values. Its keys are the first 64 bits of each digest, to keep
// a map of a million digests small.
type byDigest[V any] map[uint64]V

// set sets the value of a digest. Damaged digests of another length are ignored.
func (m byDigest[V]) set(digest []byte, value V) {
	if len(digest) == len(sqlrepo.Digest{}) {
		m[binary.BigEndian.Uint64(digest)] = value
	}
}

// get returns the value of a digest, and reports whether there is one.
func (m byDigest[V]) get(digest []byte) (value V, ok bool) {
	if len(digest) == len(sqlrepo.Digest{}) {
		value, ok = m[binary.BigEndian.Uint64(digest)]
	}
	return value, ok
}
