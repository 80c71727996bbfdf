// Package remake makes the bytes of shards again that no store keeps. It takes chunks from the source, and makes
// the nodes above them from the repository's rows.
package remake

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guppy-prep/guppy/internal/reading/reach"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrLost is returned for a block that can't be made again, because the source has changed or nothing describes
// the block any longer.
var ErrLost = errors.New("can't be made again")

// ErrChanged is returned, with ErrLost, for a block in whose place the source has something else.
var ErrChanged = errors.New("has changed since it was prepared")

// Repository is the part of the repository that making shards again needs.
type Repository interface {
	Nodes(ctx context.Context, shard int64) iter.Seq2[sqlrepo.Node, error]
	Shards(ctx context.Context, upload int64, filter sqlrepo.ShardFilter) iter.Seq2[sqlrepo.Shard, error]
	ShardSegments(ctx context.Context, shard int64) iter.Seq2[sqlrepo.PackSegment, error]
	Upload(ctx context.Context, id int64) (sqlrepo.Upload, error)
	Uploads(ctx context.Context, filter sqlrepo.UploadFilter) ([]sqlrepo.Upload, error)
	SpaceOf(ctx context.Context, upload int64) (int64, error)
	reach.Repository
}

// SourceRoot is the place of a source on this host.
type SourceRoot struct {
	FS   source.FS
	Root string
}

// Remaker makes shards again. It is safe for concurrent use. Close ends it.
type Remaker struct {
	repo    Repository
	locate  func(ctx context.Context, source int64) (SourceRoot, error)
	tempDir string

	// ctx is the context of making DAG shards. Making one takes long, so a caller that asks again finds it under
	// way or made.
	ctx    context.Context //nolint:containedctx // it ends with Close, not with who asks
	stop   context.CancelFunc
	makers sync.WaitGroup
	// turn is held while shards are being made.
	turn chan struct{}

	mu     sync.Mutex
	spools map[int64]*spool
	making map[int64]*making
	// idle holds the spools that nobody reads.
	idle   *simplelru.LRU[int64, *spool]
	closed error
}

// New returns a Remaker. locate finds the source with the given key. The Remaker keeps recently requested DAG
// shards in unnamed files in tempDir until Close.
func New(repo Repository, tempDir string, locate func(ctx context.Context, source int64) (SourceRoot, error)) *Remaker {
	ctx, stop := context.WithCancel(context.Background())
	r := &Remaker{
		repo: repo, locate: locate, tempDir: tempDir, ctx: ctx, stop: stop, turn: make(chan struct{}, 1),
		spools: map[int64]*spool{}, making: map[int64]*making{},
	}
	r.idle, _ = simplelru.NewLRU(heldSpools, r.leftIdle) // only a size below 1 is an error
	return r
}

// OpenShard opens a packed shard for reading. If ctx ends first, a DAG shard is made all the same, for the next
// caller. Each block is compared with its digest before any of its bytes are returned. Reading a block that
// differs or can't be made returns ErrLost with the reason.
func (r *Remaker) OpenShard(ctx context.Context, shard sqlrepo.Shard) (store.Reading, error) {
	reading, err := r.open(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("make shard %d of upload %d again: %w", shard.Ordinal, shard.Upload, err)
	}
	return reading, nil
}

func (r *Remaker) open(ctx context.Context, shard sqlrepo.Shard) (store.Reading, error) {
	nodes, err := r.nodes(ctx, shard)
	if err != nil {
		return nil, err
	}

	if shard.Kind == sqlrepo.DAGShard {
		spooled, err := r.spooled(ctx, shard, nodes)
		release := sync.OnceFunc(func() { r.release(shard.ID, spooled) })
		return &shardReading{shard: shard, nodes: nodes, maker: spooled, release: release}, err
	}

	chunks, err := r.chunks(ctx, shard)
	return &shardReading{shard: shard, nodes: nodes, maker: chunks}, err
}

func (r *Remaker) nodes(ctx context.Context, shard sqlrepo.Shard) ([]sqlrepo.Node, error) {
	nodes := make([]sqlrepo.Node, 0, shard.Nodes)
	for node, err := range r.repo.Nodes(ctx, shard.ID) {
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// Close stops the making of shards and removes those that are kept. No shard may be opened after Close.
func (r *Remaker) Close() error {
	r.stop()
	r.makers.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.spools {
		r.drop(id)
	}
	return r.closed
}
