package link

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// batchRoots is how many roots one transaction records.
const batchRoots = 25_000

// batch is what is recorded in one transaction: some roots and, where one is full, a shard.
type batch struct {
	roots []sqlrepo.Root
	draft *shard.Draft
}

func (b batch) abort() error {
	if b.draft == nil {
		return nil
	}
	return b.draft.Abort()
}

// output writes blocks to DAG shards, and roots and shards to whoever records them. It lives for one Run.
type output struct {
	ctx    context.Context //nolint:containedctx // blocks leave through a callback that takes none
	linker *Linker
	// shardSize and maxBlocks bound a shard.
	shardSize, maxBlocks int64
	// pieceCID has the piece CIDs of the shards computed.
	pieceCID bool
	builder  *shard.Builder
	roots    []sqlrepo.Root
	full     chan<- batch
}

// Leaves has nothing to do: the chunks were packed.
func (o *output) Leaves(sqlrepo.Linkable, sqlrepo.Segment, []byte) error { return nil }

// Node writes a block to the open shard, or to the next one if it does not fit.
func (o *output) Node(_ sqlrepo.Linkable, block unixfs.Block) error {
	digest := [sha256.Size]byte(block.CID.Hash()[2:])
	if o.builder != nil && o.builder.Holds(digest) {
		return nil
	}
	section := car.SectionSize(int64(len(block.Data)))
	if o.builder != nil && (o.builder.Size()+section > o.shardSize || int64(o.builder.Blocks()) == o.maxBlocks) {
		if err := o.seal(); err != nil {
			return err
		}
	}
	if err := shard.CheckFits(int64(len(block.Data)), o.shardSize); err != nil {
		return err
	}
	if o.builder == nil {
		builder, err := shard.NewBuilder(o.ctx, o.linker.Store, o.linker.Owner, shard.WithPiece(o.pieceCID))
		if err != nil {
			return err
		}
		o.builder = builder
	}
	return o.builder.Add(cid.DagProtobuf, digest, block.Data)
}

func (o *output) seal() error {
	draft, err := o.builder.Finish(o.ctx)
	o.builder = nil
	if err != nil {
		return err
	}
	if err := o.send(draft); err != nil {
		return errors.Join(err, draft.Abort())
	}
	return nil
}

// Root has the root recorded, unless that of an earlier upload is.
func (o *output) Root(entry sqlrepo.Linkable, link unixfs.Link) error {
	if entry.Origin != 0 {
		return nil
	}
	root := sqlrepo.Root{Entry: entry.ID, CID: sqlrepo.CID{Cid: link.CID}, DAGSize: int64(link.Tsize)}
	if o.roots = append(o.roots, root); len(o.roots) < batchRoots {
		return nil
	}
	return o.send(nil)
}

// send hands over what there is.
func (o *output) send(draft *shard.Draft) error {
	select {
	case o.full <- batch{o.roots, draft}:
		o.roots = nil
		return nil
	case <-o.ctx.Done():
		return context.Cause(o.ctx)
	}
}

func (o *output) finish() error {
	if o.builder != nil {
		return o.seal()
	}
	if len(o.roots) > 0 {
		return o.send(nil)
	}
	return nil
}

// abort removes a shard that is not sealed.
func (o *output) abort() error {
	if o.builder == nil {
		return nil
	}
	return o.builder.Abort()
}
