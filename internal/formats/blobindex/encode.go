package blobindex

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	carv2 "github.com/ipld/go-car/v2"
	"github.com/ipld/go-car/v2/storage"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/datamodel"
)

// Encode sorts an index and writes it. The same shards, content and layout always give the same bytes.
func Encode(ctx context.Context, to io.Writer, layout Layout, index Index) error {
	index.Sort()
	blocks, links := make([]block, len(index.Shards)), make([]cid.Cid, len(index.Shards))

	// Large indexes take long to encode, so an ended context stops the loop.
	for i, shard := range index.Shards {
		if err := ctx.Err(); err != nil {
			return err
		}

		node, err := shardNode(layout, shard)
		if err == nil {
			blocks[i], err = encode(node)
		}

		if err != nil {
			return fmt.Errorf("shard %d of the index: %w", i, err)
		}
		links[i] = blocks[i].id
	}

	node, err := rootNode(layout, index.Content, links)
	if err != nil {
		return fmt.Errorf("root of the index: %w", err)
	}

	root, err := encode(node)
	if err != nil {
		return err
	}
	return write(ctx, to, root, blocks)
}

// block is an encoded node.
type block struct {
	id   cid.Cid
	data []byte
}

func encode(node datamodel.Node) (block, error) {
	var data bytes.Buffer
	if err := dagcbor.Encode(node, &data); err != nil {
		return block{}, fmt.Errorf("encode the index: %w", err)
	}
	return block{cid.NewCidV1(cid.DagCBOR, hash(sha256.Sum256(data.Bytes()))), data.Bytes()}, nil
}

// write writes the CAR file. Its first block is its root.
func write(ctx context.Context, to io.Writer, root block, blocks []block) error {
	out, err := storage.NewWritable(to, []cid.Cid{root.id}, carv2.WriteAsCarV1(true))
	if err != nil {
		return fmt.Errorf("write the index: %w", err)
	}

	for _, b := range append([]block{root}, blocks...) {
		if err := out.Put(ctx, b.id.KeyString(), b.data); err != nil {
			return fmt.Errorf("write the index: %w", err)
		}
	}

	if err := out.Finalize(); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}

	return nil
}
