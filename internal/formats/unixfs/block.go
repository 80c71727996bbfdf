// Package unixfs builds UnixFS DAGs from the digests of chunks and the links to finished DAGs. It streams: each
// block is passed to a callback as soon as it is complete, children before parents. The order of the blocks depends
// only on the input. Memory does not grow with the size of a file or directory.
package unixfs

import (
	"crypto/sha256"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Block is a dag-pb block. The receiver of a block owns its data.
type Block struct {
	CID  cid.Cid
	Data []byte
}

// Link points to the root of a finished DAG. Tsize is the cumulative size of all blocks that the root reaches. A
// block counts each time it is linked.
type Link struct {
	CID   cid.Cid
	Tsize uint64
}

// RawCID returns the CID of the raw block with the given sha2-256 digest.
func RawCID(digest [sha256.Size]byte) cid.Cid {
	return newCID(cid.Raw, digest)
}

// NodeCID returns the CID of the dag-pb block with the given sha2-256 digest.
func NodeCID(digest [sha256.Size]byte) cid.Cid {
	return newCID(cid.DagProtobuf, digest)
}

func newCID(codec uint64, digest [sha256.Size]byte) cid.Cid {
	mh := append([]byte{multihash.SHA2_256, sha256.Size}, digest[:]...)
	return cid.NewCidV1(codec, mh)
}

func newBlock(data []byte) Block {
	return Block{CID: newCID(cid.DagProtobuf, sha256.Sum256(data)), Data: data}
}

// Symlink returns the block of a symbolic link and the link to that block. The target may be any byte string.
func Symlink(target []byte) (Block, Link) {
	b := newBlock(appendData(nil, symlinkData(target)))
	return b, Link{CID: b.CID, Tsize: uint64(len(b.Data))}
}
