package link

import (
	"context"
	"crypto/sha256"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/car"
	"github.com/guppy-prep/guppy/internal/shard"
	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// batchRoots is how many roots one transaction records.
const batchRoots = 5_000

// output writes blocks to DAG shards, and roots and shards to whoever records them. It lives for one Run.
type output struct {
	ctx     context.Context //nolint:containedctx // blocks leave through a callback that takes none
	linker  *Linker
	run     sqlrepo.Run
	ordinal int64
	builder *shard.Builder
	batch   sqlrepo.LinkBatch
	full    chan<- sqlrepo.LinkBatch
}

// block writes a block to the open shard, or to the next one if it does not fit.
func (o *output) block(block unixfs.Block) error {
	digest := [sha256.Size]byte(block.CID.Hash()[2:])
	if o.builder != nil && o.builder.Holds(digest) {
		return nil
	}
	section := car.SectionSize(int64(len(block.Data)))
	if o.builder != nil && (o.builder.Size()+section > o.run.Upload.ShardSize || o.builder.Blocks() == shard.MaxBlocks) {
		if err := o.seal(); err != nil {
			return err
		}
	}
	if err := shard.CheckFits(int64(len(block.Data)), o.run.Upload.ShardSize); err != nil {
		return err
	}
	if o.builder == nil {
		builder, err := shard.NewBuilder(o.ctx, o.linker.Store, o.linker.Owner)
		if err != nil {
			return err
		}
		o.builder = builder
	}
	return o.builder.Add(cid.DagProtobuf, digest, block.Data)
}

func (o *output) seal() error {
	packed, err := o.builder.Seal(o.ctx)
	if err != nil {
		return err
	}
	o.builder = nil
	packed.Shard.Ordinal, packed.Shard.PlannedSize = o.ordinal, packed.Shard.Size
	o.ordinal++
	o.batch.Shards = append(o.batch.Shards, packed)
	return o.save(1)
}

func (o *output) root(root sqlrepo.Root) error {
	o.batch.Roots = append(o.batch.Roots, root)
	return o.save(batchRoots)
}

// save hands the batch over when it has grown to a size.
func (o *output) save(size int) error {
	if len(o.batch.Roots)+len(o.batch.Shards) < size {
		return nil
	}
	select {
	case o.full <- o.batch:
		o.batch = sqlrepo.LinkBatch{}
		return nil
	case <-o.ctx.Done():
		return context.Cause(o.ctx)
	}
}

func (o *output) finish() error {
	if o.builder != nil {
		if err := o.seal(); err != nil {
			return err
		}
	}
	return o.save(1)
}

// abort removes a shard that is not sealed.
func (o *output) abort() error {
	if o.builder == nil {
		return nil
	}
	return o.builder.Abort()
}
