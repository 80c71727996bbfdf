package shard

import (
	"crypto/sha256"
	"fmt"
	"io"
	"iter"

	"github.com/ipfs/go-cid"
	carv2 "github.com/ipld/go-car/v2"
	"github.com/ipld/go-car/v2/index"
	"github.com/multiformats/go-multihash"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// WriteV2 writes a shard as a CAR of version 2: the shard's own bytes, then an index of its blocks sorted by
// multihash. The index is held in memory and takes about 150 bytes for each block.
func WriteV2(to io.Writer, size int64, content io.Reader, nodes iter.Seq2[sqlrepo.Node, error]) error {
	sorted, err := multihashIndex(nodes)
	if err != nil {
		return err
	}

	header := carv2.NewHeader(uint64(size))
	header.Characteristics.SetFullyIndexed(true)

	if _, err := to.Write(carv2.Pragma); err != nil {
		return err
	}
	if _, err := header.WriteTo(to); err != nil {
		return err
	}

	n, err := io.Copy(to, content)
	if err == nil && n != size {
		// The header was written with this size, so any other size would make the file invalid.
		err = fmt.Errorf("the shard has %d bytes instead of %d", n, size)
	}
	if err != nil {
		return err
	}

	_, err = index.WriteTo(sorted, to)
	return err
}

// multihashIndex returns the index of the offsets at which the blocks' sections begin.
func multihashIndex(nodes iter.Seq2[sqlrepo.Node, error]) (index.Index, error) {
	var records []index.Record
	for node, err := range nodes {
		if err != nil {
			return nil, err
		}

		hash := append([]byte{multihash.SHA2_256, sha256.Size}, node.Digest[:]...)

		// The position of a node is where its data begins, not its section.
		begin := int64(node.Position) + int64(node.Length) - car.SectionSize(int64(node.Length))
		records = append(records, index.Record{Cid: cid.NewCidV1(uint64(node.Codec), hash), Offset: uint64(begin)})
	}

	sorted := index.NewMultihashSorted()
	if err := sorted.Load(records); err != nil {
		return nil, fmt.Errorf("index of the CAR: %w", err)
	}
	return sorted, nil
}
