package sourcetest

import "encoding/binary"

// fill fills p with the bytes at offset off of the content that seed generates.
func fill(p []byte, seed uint64, off int64) {
	var word [8]byte
	for len(p) > 0 {
		at := uint64(off)
		if at%8 == 0 && len(p) >= 8 {
			binary.LittleEndian.PutUint64(p, scramble(seed+at/8))
			p, off = p[8:], off+8
			continue
		}
		binary.LittleEndian.PutUint64(word[:], scramble(seed+at/8))
		n := copy(p, word[at%8:])
		p, off = p[n:], off+int64(n)
	}
}

// scramble is the finalizer of SplitMix64.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
