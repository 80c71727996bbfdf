// Package pack reads planned segments, hashes their chunks and streams them into shards.
package pack

import (
	"context"
	"errors"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Repository is what packing needs of the repository.
type Repository interface {
	ClaimShard(ctx context.Context, run sqlrepo.Run) (sqlrepo.Shard, error)
	ShardSegments(ctx context.Context, shard int64) iter.Seq2[sqlrepo.PackSegment, error]
	SavePacked(ctx context.Context, run sqlrepo.Run, packed sqlrepo.PackedShard) error
}

// Packer packs the shards of one upload.
type Packer struct {
	Repo  Repository
	Store store.Store
	// Owner marks the temporary blobs in the store.
	Owner string
	FS    source.FS
	// Root is where the source lies.
	Root string
	// Workers is how many shards are packed side by side, ReadAhead how many reads are under way for each.
	Workers, ReadAhead int
	Progress           *progress.Counters
}

// Run packs until no shard is left to claim. Files that can't be read as they were scanned are taken out of their shards
// and recorded; all else is packed. The bytes of a shard are durable in the store before the rows that name them.
func (p *Packer) Run(ctx context.Context, run sqlrepo.Run) error {
	group, ctx := errgroup.WithContext(ctx)
	for range p.Workers {
		group.Go(func() error { return p.work(ctx, run) })
	}
	return group.Wait()
}

func (p *Packer) work(ctx context.Context, run sqlrepo.Run) error {
	buffers := newBuffers(p.ReadAhead)
	for {
		shard, err := p.Repo.ClaimShard(ctx, run)
		if errors.Is(err, sqlrepo.ErrNothingToClaim) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.pack(ctx, run, shard, buffers); err != nil {
			return err
		}
	}
}

// pack packs one shard. A file that turns out to have changed after some of it was written makes the shard begin again
// without it.
func (p *Packer) pack(ctx context.Context, run sqlrepo.Run, shard sqlrepo.Shard, buffers buffers) error {
	attempt := attempt{packer: p, shard: shard, buffers: buffers, out: map[int64]sqlrepo.TakenOut{}}
	for {
		packed, err := attempt.run(ctx)
		if errors.Is(err, errStartAgain) {
			continue
		}
		if err != nil {
			return err
		}
		return p.Repo.SavePacked(ctx, run, packed)
	}
}
