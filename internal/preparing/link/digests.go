package link

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// cachedShards is the number of shards whose digests are held. Files follow each other in shards in the order of
// the walk, except for files that were packed later than their neighbours.
const cachedShards = 8

// DigestCache holds the digests of the shards that were used last.
type DigestCache struct {
	repo   Digests
	shards []shardDigests
}

type shardDigests struct {
	shard   int64
	digests []byte
}

// NewDigestCache returns an empty cache.
func NewDigestCache(repo Digests) *DigestCache { return &DigestCache{repo: repo} }

// Of returns the digests of the chunks of a file's i-th segment, which are valid until the next call. It returns
// ErrInconsistent if some are missing. The digests of the following segments are read at the same time: the
// database may be far away.
func (c *DigestCache) Of(ctx context.Context, segments []sqlrepo.Segment, i int) ([]byte, error) {
	digests, err := c.Packed(ctx, segments, i)
	segment := segments[i]
	if want := unixfs.Chunks(segment.Length); err == nil && want*sha256.Size != int64(len(digests)) {
		return nil, fmt.Errorf("%w: shard %d has not all digests of the %d chunks from %d on",
			ErrInconsistent, segment.Shard, want, segment.Chunk)
	}
	return digests, err
}

// Packed is like Of for shards that need not be packed. It returns the digests that are there; the digest of a
// chunk that was not packed is zero.
func (c *DigestCache) Packed(ctx context.Context, segments []sqlrepo.Segment, i int) ([]byte, error) {
	segment := segments[i]
	digests, held := c.shard(segment.Shard)

	if !held {
		if err := c.read(ctx, segments[i:]); err != nil {
			return nil, err
		}
		digests, _ = c.shard(segment.Shard)
	}

	whole := int64(len(digests) / sha256.Size)
	from := max(0, min(segment.Chunk, whole))
	to := max(from, min(segment.Chunk+unixfs.Chunks(segment.Length), whole))

	return digests[from*sha256.Size : to*sha256.Size], nil
}

// shard returns the cached digests of a shard and moves them to the front.
func (c *DigestCache) shard(shard int64) ([]byte, bool) {
	for i, held := range c.shards {
		if held.shard == shard {
			copy(c.shards[1:i+1], c.shards[:i])
			c.shards[0] = held
			return held.digests, true
		}
	}
	return nil, false
}

// readAtOnce is the number of shards whose digests are read concurrently.
const readAtOnce = 6

// read reads the digests of the first shards of some segments that are not in the cache.
func (c *DigestCache) read(ctx context.Context, segments []sqlrepo.Segment) error {
	var wanted []shardDigests

	// Several segments may lie in the same shard.
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
			if errors.Is(err, sqlrepo.ErrNotFound) {
				return fmt.Errorf("%w: %w", ErrInconsistent, err)
			}
			return err
		})
	}

	if err := group.Wait(); err != nil {
		return err
	}

	// The shards are in the order of their last use, so this drops those used longest ago.
	c.shards = append(wanted, c.shards[:min(len(c.shards), cachedShards-len(wanted))]...)
	return nil
}
