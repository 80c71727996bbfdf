package link

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

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

// of returns the digests of the chunks of a file's i-th segment. Those of the segments behind it are read at the same time:
// a database may be far away.
func (c *digestCache) of(ctx context.Context, segments []sqlrepo.Segment, i int) ([]byte, error) {
	segment := segments[i]
	digests, held := c.shard(segment.Shard)
	if !held {
		if err := c.read(ctx, segments[i:]); err != nil {
			return nil, err
		}
		digests, _ = c.shard(segment.Shard)
	}
	from, to := segment.Chunk*sha256.Size, (segment.Chunk+unixfs.Chunks(segment.Length))*sha256.Size
	if to > int64(len(digests)) {
		return nil, fmt.Errorf("%w: shard %d has no digests of chunk %d", ErrInconsistent, segment.Shard, segment.Chunk)
	}
	return digests[from:to], nil
}

// shard returns the digests of a shard that are held, and puts it before the others.
func (c *digestCache) shard(shard int64) ([]byte, bool) {
	for i, held := range c.shards {
		if held.shard == shard {
			copy(c.shards[1:i+1], c.shards[:i])
			c.shards[0] = held
			return held.digests, true
		}
	}
	return nil, false
}

// readAtOnce is how many shards' digests are read side by side.
const readAtOnce = cachedShards / 2

// read reads the digests of the first shards among those of some segments that are not held.
func (c *digestCache) read(ctx context.Context, segments []sqlrepo.Segment) error {
	var wanted []shardDigests
	for _, segment := range segments {
		_, held := c.shard(segment.Shard)
		if !held && !slices.ContainsFunc(wanted, func(w shardDigests) bool { return w.shard == segment.Shard }) {
			wanted = append(wanted, shardDigests{shard: segment.Shard})
		}
		if len(wanted) == readAtOnce {
			break
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range wanted {
		group.Go(func() (err error) {
			wanted[i].digests, err = c.repo.ShardDigests(ctx, wanted[i].shard)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	c.shards = append(wanted, c.shards[:min(len(c.shards), cachedShards-len(wanted))]...)
	return nil
}
