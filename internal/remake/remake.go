// Package remake makes the bytes of shards again, of which no store keeps any: chunks from the source, the nodes above
// them from the repository's rows.
package remake

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/guppy-prep/guppy/internal/reach"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrLost is returned for a block that can't be made again: the source has changed, or nothing tells any more what it was.
var ErrLost = errors.New("can't be made again")

// Repository is what making shards again needs of the repository.
type Repository interface {
	Nodes(ctx context.Context, shard int64) iter.Seq2[sqlrepo.Node, error]
	Shards(ctx context.Context, upload int64, filter sqlrepo.ShardFilter) iter.Seq2[sqlrepo.Shard, error]
	ShardSegments(ctx context.Context, shard int64) iter.Seq2[sqlrepo.PackSegment, error]
	Upload(ctx context.Context, id int64) (sqlrepo.Upload, error)
	Uploads(ctx context.Context, filter sqlrepo.UploadFilter) ([]sqlrepo.Upload, error)
	SpaceOf(ctx context.Context, upload int64) (int64, error)
	reach.Repository
}

// Site is where a source lies on this host.
type Site struct {
	FS   source.FS
	Root string
}

// Remaker makes shards again. It is safe for concurrent use. Close ends it.
type Remaker struct {
	repo    Repository
	locate  func(ctx context.Context, source int64) (Site, error)
	tempDir string

	// turn is held by who uses spools, which may take long.
	turn   chan struct{}
	spools map[int64]*spool
}

// New returns a Remaker. Locate finds the source of that key; DAG shards that were asked for are kept in files without a
// name in tempDir until Close.
func New(repo Repository, tempDir string, locate func(ctx context.Context, source int64) (Site, error)) *Remaker {
	return &Remaker{repo: repo, locate: locate, tempDir: tempDir, turn: make(chan struct{}, 1), spools: map[int64]*spool{}}
}

// OpenShard opens a packed shard for reading. Each block is compared with its digest before any of it is returned; reads
// of one that differs, or can't be had, return ErrLost with the reason.
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
		return &reading{shard: shard, nodes: nodes, made: spooled}, err
	}
	chunks, err := r.chunks(ctx, shard)
	return &reading{shard: shard, nodes: nodes, made: chunks}, err
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

// Close removes what was kept, once nothing is made any more.
func (r *Remaker) Close() (err error) {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	for _, s := range r.spools {
		err = errors.Join(err, s.file.Close())
	}
	r.spools = map[int64]*spool{}
	return err
}
