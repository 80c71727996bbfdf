package shard

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Draft is a finished shard under its temporary name. Callers must end it with Abort, even after Publish.
type Draft struct {
	to    store.Store
	owner string
	// blob is nil if the shard has no blocks.
	blob   store.Blob
	nodes  []sqlrepo.Node
	size   int64
	digest [sha256.Size]byte
	// pieces is true if the root of the piece CID is wanted. piece is that root.
	pieces bool
	piece  []byte
}

// Nodes returns the blocks in the order of their positions in the shard.
func (d *Draft) Nodes() []sqlrepo.Node { return d.nodes }

// Digests returns the digests of the blocks in the same order.
func (d *Draft) Digests() []sqlrepo.Digest {
	digests := make([]sqlrepo.Digest, len(d.nodes))
	for i, node := range d.nodes {
		digests[i] = node.Digest
	}
	return digests
}

// Size returns the length of the CAR file. It is 0 for an empty shard, which has no file.
func (d *Draft) Size() int64 { return d.size }

// Empty reports whether the shard has no blocks. An empty shard is not stored.
func (d *Draft) Empty() bool { return len(d.nodes) == 0 }

// Describe sets the fields of the shard's row that describe its bytes.
func (d *Draft) Describe(row *sqlrepo.Shard) {
	row.State, row.Size, row.Nodes, row.Digest, row.Piece = sqlrepo.ShardEmpty, d.size, int64(len(d.nodes)), nil, nil
	if !d.Empty() {
		row.State, row.Digest, row.Piece = sqlrepo.ShardPacked, d.digest[:], d.piece
	}
}

// Without returns the shard without the blocks that are held elsewhere. If that leaves out no block, it returns the
// draft itself. Otherwise it makes another draft of the bytes of this one, with the content that a builder would
// have written for the remaining blocks. This draft does not change, and callers must end both. Without returns
// ErrDamaged if a block is not read back as it was written.
func (d *Draft) Without(ctx context.Context, held map[sqlrepo.Digest]struct{}) (*Draft, error) {
	kept := slices.DeleteFunc(slices.Clone(d.nodes), func(node sqlrepo.Node) bool {
		_, elsewhere := held[node.Digest]
		return elsewhere
	})

	// Usually no block is held elsewhere, and the shard need not be written again.
	switch len(kept) {
	case len(d.nodes):
		return d, nil
	case 0:
		return &Draft{to: d.to, owner: d.owner, pieces: d.pieces}, nil
	}

	b, err := NewBuilder(ctx, d.to, d.owner, WithPiece(d.pieces))
	if err != nil {
		return nil, err
	}

	if err := d.copy(ctx, kept, b); err != nil {
		return nil, errors.Join(err, b.Abort())
	}
	return b.Finish(ctx)
}

// copy writes some of the draft's blocks to a builder. The blocks must be in order.
func (d *Draft) copy(ctx context.Context, nodes []sqlrepo.Node, to *Builder) error {
	in := blockReader{from: d.blob, end: d.size, buffer: bufio.NewReaderSize(nil, bufferSize), at: -1}
	var block []byte

	for _, node := range nodes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}

		block = slices.Grow(block[:0], int(node.Length))[:node.Length]
		if err := in.readBlock(node, block); err != nil {
			return err
		}

		if err := to.Add(node.Codec, node.Digest, block); err != nil {
			return err
		}
	}
	return nil
}

// Stage sends the shard to the place where Publish names it, so that Publish takes little time. It calls sent, if not
// nil, from many goroutines with the number of bytes sent. Stage may be called again.
func (d *Draft) Stage(ctx context.Context, sent func(n int64)) error {
	if d.Empty() {
		return nil
	}
	if sent == nil {
		sent = func(int64) {}
	}
	return d.blob.Stage(ctx, Name(d.digest), sent)
}

// publishAhead publishes the shard now if its store may be slow. A later Publish has little left to do.
func (d *Draft) publishAhead(ctx context.Context) error {
	if d.Empty() || !store.CommitsAhead(d.to) {
		return nil
	}
	return d.Publish(ctx)
}

// Publish makes the shard durable under its CID. It does nothing for an empty shard. Publish may be called again. It
// returns fs.ErrNotExist if another process discarded the temporary file.
func (d *Draft) Publish(ctx context.Context) error {
	if d.Empty() {
		return nil
	}
	return d.blob.Commit(ctx, Name(d.digest))
}

// Abort removes the temporary file. After Publish, it only frees what was kept for reading the shard again. It may
// be called more than once.
func (d *Draft) Abort() error {
	if d.Empty() {
		return nil
	}
	return d.blob.Abort()
}
