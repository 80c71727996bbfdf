package link

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/golang-lru/v2/simplelru"
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
	shards *simplelru.LRU[int64, []byte]
}

// NewDigestCache returns an empty cache.
func NewDigestCache(repo Digests) *DigestCache {
	shards, _ := simplelru.NewLRU[int64, []byte](cachedShards, nil) // only a size below 1 is an error
	return &DigestCache{repo: repo, shards: shards}
}

// Of returns the digests of the chunks of a file's i-th segment, which are valid until the next call. It returns
// ErrInconsistent if some are missing. The digests of the following segments are read at the same time: the
// database may be far away.
func (c *DigestCache) Of(ctx context.Context, segments []sqlrepo.Segment, i int) ([]byte, error) {
	digests, err := c.Packed(ctx, segments, i)
	segment := segments[i]
	if want := unixfs.Chunks(segment.Length); err == nil && want*sha256.Size != int64(len(digests)) {
		return nil, fmt.Errorf("%w: shard %d lacks digests of the %d chunks from %d on",
			ErrInconsistent, segment.Shard, want, segment.Chunk)
	}
	return digests, err
}

// Packed is like Of for shards that need not be packed. It returns the digests that are there; the digest of a
// chunk that was not packed is zero.
func (c *DigestCache) Packed(ctx context.Context, segments []sqlrepo.Segment, i int) ([]byte, error) {
	segment := segments[i]
	digests, held := c.shards.Get(segment.Shard)

	if !held {
		if err := c.read(ctx, segments[i:]); err != nil {
			return nil, err
		}
		digests, _ = c.shards.Get(segment.Shard)
	}

	whole := int64(len(digests) / sha256.Size)
	from := max(0, min(segment.Chunk, whole))
	to := max(from, min(segment.Chunk+unixfs.Chunks(segment.Length), whole))

	return digests[from*sha256.Size : to*sha256.Size], nil
}

// readAtOnce is the number of shards whose digests are read concurrently.
const readAtOnce = 6

// read reads the digests of the first shards of some segments that are not in the cache.
func (c *DigestCache) read(ctx context.Context, segments []sqlrepo.Segment) error {
	var wanted []int64

	// Several segments may lie in the same shard.
	for _, segment := range segments {
		_, held := c.shards.Get(segment.Shard)
		if !held && !slices.Contains(wanted, segment.Shard) {
			wanted = append(wanted, segment.Shard)
		}

		if len(wanted) == readAtOnce {
			break
		}
	}

	digests := make([][]byte, len(wanted))
	group, ctx := errgroup.WithContext(ctx)
	for i, shard := range wanted {
		group.Go(func() (err error) {
			digests[i], err = c.repo.ShardDigests(ctx, shard)
			if errors.Is(err, sqlrepo.ErrNotFound) {
				return fmt.Errorf("%w: %w", ErrInconsistent, err)
			}
			return err
		})
	}

	if err := group.Wait(); err != nil {
		return err
	}

	for i, shard := range slices.Backward(wanted) { // the first one is needed first
		c.shards.Add(shard, digests[i])
	}
	return nil
}
