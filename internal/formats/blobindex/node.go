package blobindex

import (
	"crypto/sha256"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/fluent/qp"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/multiformats/go-multihash"
)

const (
	label      = "index/sharded/dag@0.1"
	contentKey = "content"
	shardsKey  = "shards"
)

// list is a list node that makes its items when the encoder asks for them: an index has many.
type list struct {
	datamodel.Node
	length int64
	item   func(i int64) (datamodel.Node, error)
}

func newList(length int, item func(i int64) (datamodel.Node, error)) (datamodel.Node, error) {
	rest, err := qp.BuildList(basicnode.Prototype.List, 0, func(datamodel.ListAssembler) {})
	return list{Node: rest, length: int64(length), item: item}, err
}

func (l list) Length() int64 { return l.length }

func (l list) LookupByIndex(i int64) (datamodel.Node, error) { return l.item(i) }

// rootNode returns the block that links to the blocks of all shards.
func rootNode(layout Layout, content cid.Cid, shards []cid.Cid) (datamodel.Node, error) {
	links := qp.List(int64(len(shards)), func(to datamodel.ListAssembler) {
		for _, shard := range shards {
			qp.ListEntry(to, qp.Link(cidlink.Link{Cid: shard}))
		}
	})

	return qp.BuildMap(basicnode.Prototype.Map, 1, func(to datamodel.MapAssembler) {
		qp.MapEntry(to, label, qp.Map(2, func(to datamodel.MapAssembler) {
			if layout != Forge {
				qp.MapEntry(to, contentKey, qp.Link(cidlink.Link{Cid: content}))
			}
			qp.MapEntry(to, shardsKey, links)
		}))
	})
}

// shardNode returns the block with the slices of a shard.
func shardNode(layout Layout, shard Shard) (datamodel.Node, error) {
	slices, err := newList(len(shard.Slices), func(i int64) (datamodel.Node, error) {
		return sliceNode(layout, shard.Slices[i])
	})
	if err != nil {
		return nil, err
	}

	return qp.BuildList(basicnode.Prototype.List, 2, func(to datamodel.ListAssembler) {
		qp.ListEntry(to, qp.Bytes(hash(shard.Digest)))
		qp.ListEntry(to, qp.Node(slices))
	})
}

func sliceNode(layout Layout, slice Slice) (datamodel.Node, error) {
	place := func(to datamodel.ListAssembler) {
		second := slice.Length
		if layout == Forge {
			second = slice.Offset + slice.Length - 1
		}
		qp.ListEntry(to, qp.Int(slice.Offset))
		qp.ListEntry(to, qp.Int(second))
	}

	return qp.BuildList(basicnode.Prototype.List, 3, func(to datamodel.ListAssembler) {
		qp.ListEntry(to, qp.Bytes(hash(slice.Digest)))
		if layout == Spec {
			place(to)
		} else {
			qp.ListEntry(to, qp.List(2, place))
		}
	})
}

// hash returns a digest as a multihash.
func hash(digest [sha256.Size]byte) []byte {
	return append([]byte{multihash.SHA2_256, sha256.Size}, digest[:]...)
}

func isSHA256(hash []byte) bool {
	return len(hash) == 2+sha256.Size && hash[0] == multihash.SHA2_256 && hash[1] == sha256.Size
}
