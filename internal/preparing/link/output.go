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

// batchRoots is the number of roots that one transaction records.
const batchRoots = 25_000

// batch is recorded in one transaction: some roots and, if a shard is full, that shard.
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

// output writes blocks to DAG shards, and sends roots and shards to the saver. It lives for one Run.
type output struct {
	ctx    context.Context //nolint:containedctx // blocks come through a callback without a context
	linker *Linker
	// shardSize and maxBlocks bound the size of a shard.
	shardSize, maxBlocks int64
	// pieceCID is true if the piece CIDs of the shards are to be computed.
	pieceCID bool
	builder  *shard.Builder
	roots    []sqlrepo.Root
	full     chan<- batch
}

// Leaves does nothing: the chunks are already packed.
func (o *output) Leaves(sqlrepo.Linkable, sqlrepo.Segment, []byte) error { return nil }

// Node writes a block to the open shard, or to a new one if the block does not fit.
func (o *output) Node(_ sqlrepo.Linkable, block unixfs.Block) error {
	digest := [sha256.Size]byte(block.CID.Hash()[2:])

	// Equal files and directories have equal blocks.
	if o.builder != nil && o.builder.Holds(digest) {
		return nil
	}

	// A shard without room for the next block is full.
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

// seal finishes the open shard and sends its draft. The saver seals it.
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

// Root records a root, unless the entry got its root from an earlier upload.
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

// send sends the roots so far and a draft, which may be nil, to the saver.
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

// abort discards the open shard, if any.
func (o *output) abort() error {
	if o.builder == nil {
		return nil
	}
	return o.builder.Abort()
}
