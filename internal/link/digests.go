package link

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// cachedShards is how many shards' digests are held: files follow each other in shards as they do in the walk, except
// for those that were packed later than their neighbours.
const cachedShards = 8

// digestCache holds the digests of the shards that were looked at last.
type digestCache struct {
	repo   Repository
	shards []shardDigests
}

type shardDigests struct {
	shard   int64
	digests []byte
}

// of returns the digests of a segment's chunks.
func (c *digestCache) of(ctx context.Context, segment sqlrepo.Segment) ([]byte, error) {
	digests, err := c.shard(ctx, segment.Shard)
	if err != nil {
		return nil, err
	}
	from, to := segment.Chunk*sha256.Size, (segment.Chunk+unixfs.Chunks(segment.Length))*sha256.Size
	if to > int64(len(digests)) {
		return nil, fmt.Errorf("%w: shard %d has no digests of chunk %d", ErrInconsistent, segment.Shard, segment.Chunk)
	}
	return digests[from:to], nil
}

func (c *digestCache) shard(ctx context.Context, shard int64) ([]byte, error) {
	for i, held := range c.shards {
		if held.shard == shard {
			copy(c.shards[1:i+1], c.shards[:i])
			c.shards[0] = held
			return held.digests, nil
		}
	}
	digests, err := c.repo.ShardDigests(ctx, shard)
	if err != nil {
		return nil, err
	}
	if len(c.shards) == cachedShards {
		c.shards = c.shards[:cachedShards-1]
	}
	c.shards = append([]shardDigests{{shard, digests}}, c.shards...)
	return digests, nil
}
