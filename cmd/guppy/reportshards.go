package main

import (
	"context"
	"fmt"

	"github.com/guppy-prep/guppy/internal/formats/piece"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// addShards lists the stored shards and adds up the new content.
func (r *report) addShards(ctx context.Context, repo *repository, storeURL string, before packedContent) error {
	read, shards := packedContent{upload: r.Upload}, newShardViews(repo, storeURL)
	for shard, err := range repo.Shards(ctx, r.Upload, settledShards) {
		if err != nil {
			return err
		}

		read.bytes += shard.Content
		// A shard that had nothing to store counts as read, but is not listed.
		if shard.State != sqlrepo.ShardPacked {
			continue
		}

		r.Nodes += shard.Nodes
		r.shardBytes += shard.Size

		row, err := shards.view(ctx, shard)
		if err != nil {
			return err
		}
		r.Shards = append(r.Shards, row)
	}

	// Nothing was read or stored for an upload that an earlier run made.
	if r.Unchanged {
		r.Nodes = 0
		return nil
	}
	r.ReadBytes, r.StoredBytes = read.since(before), r.shardBytes
	return nil
}

// pieceCID returns the piece CID of a shard, or "" if it is not known.
func pieceCID(shard sqlrepo.Shard) (string, error) {
	if shard.Piece == nil {
		return "", nil
	}
	c, err := piece.ParseRoot(shard.Piece, shard.Size)
	if err != nil {
		return "", fmt.Errorf("shard %d: %w", shard.ID, err)
	}
	return c.String(), nil
}

// settledShards matches shards that are stored, and shards that had nothing to store.
var settledShards = sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked, sqlrepo.ShardEmpty}}

// packedContent is the number of bytes of the source that were read for an upload's shards.
type packedContent struct{ upload, bytes int64 }

// since returns the bytes read after earlier. If earlier is about another upload, these are all bytes.
func (c packedContent) since(earlier packedContent) int64 {
	if c.upload != earlier.upload {
		return c.bytes
	}
	return c.bytes - earlier.bytes
}

// packedSoFar returns the content of the source's latest upload if it is unfinished, and zero otherwise.
func packedSoFar(ctx context.Context, repo *repository, uploads []sqlrepo.Upload) (packedContent, error) {
	if len(uploads) == 0 || uploads[len(uploads)-1].Closed() {
		return packedContent{}, nil
	}

	upload := uploads[len(uploads)-1]
	read := packedContent{upload: upload.ID}
	for shard, err := range repo.Shards(ctx, upload.ID, settledShards) {
		if err != nil {
			return read, err
		}
		read.bytes += shard.Content
	}
	return read, nil
}
