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

// Draft is a finished shard under its temporary name. Abort ends it, after Commit too.
type Draft struct {
	to    store.Store
	owner string
	// blob is nil when the shard has no block.
	blob   store.Blob
	nodes  []sqlrepo.Node
	size   int64
	digest [sha256.Size]byte
	// pieces tells whether the root of the piece CID is wanted, piece is that root.
	pieces bool
	piece  []byte
}

// Nodes are the blocks in the order in which they lie in the shard.
func (d *Draft) Nodes() []sqlrepo.Node { return d.nodes }

// Digests are those of the blocks, in the same order.
func (d *Draft) Digests() []sqlrepo.Digest {
	digests := make([]sqlrepo.Digest, len(d.nodes))
	for i, node := range d.nodes {
		digests[i] = node.Digest
	}
	return digests
}

// Size is the length of the CAR file, 0 when there is none.
func (d *Draft) Size() int64 { return d.size }

// Empty tells whether the shard has no block. It is stored nowhere then.
func (d *Draft) Empty() bool { return len(d.nodes) == 0 }

// Describe sets what the row of the shard says about its bytes, but for their location.
func (d *Draft) Describe(row *sqlrepo.Shard) {
	row.State, row.Size, row.Nodes, row.Digest, row.Piece = sqlrepo.ShardEmpty, d.size, int64(len(d.nodes)), nil, nil
	if !d.Empty() {
		row.State, row.Digest, row.Piece = sqlrepo.ShardPacked, d.digest[:], d.piece
	}
}

// Without returns the shard without the blocks that are held elsewhere: the draft itself when that is none of them,
// else another one, made of the draft's own bytes, which holds what a builder would have written of the other blocks.
// The draft stays as it is, and each of the two has to be ended. Without returns ErrDamaged when a block reads other
// than it was written.
func (d *Draft) Without(ctx context.Context, held map[sqlrepo.Digest]struct{}) (*Draft, error) {
	others := slices.DeleteFunc(slices.Clone(d.nodes), func(node sqlrepo.Node) bool {
		_, elsewhere := held[node.Digest]
		return elsewhere
	})
	switch len(others) {
	case len(d.nodes):
		return d, nil
	case 0:
		return &Draft{to: d.to, owner: d.owner, pieces: d.pieces}, nil
	}
	b, err := NewBuilder(ctx, d.to, d.owner, WithPiece(d.pieces))
	if err != nil {
		return nil, err
	}
	if err := d.copy(ctx, others, b); err != nil {
		return nil, errors.Join(err, b.Abort())
	}
	return b.Finish(ctx)
}

// copy writes some of the draft's blocks, which are in order.
func (d *Draft) copy(ctx context.Context, nodes []sqlrepo.Node, to *Builder) error {
	in := forward{from: d.blob, end: d.size, buffer: bufio.NewReaderSize(nil, bufferSize), at: -1}
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

// Stage brings the shard to where Commit will show it, so that Commit takes little time. It calls sent, if that is not
// nil, from many goroutines, with the bytes that went to the store, and may be called again.
func (d *Draft) Stage(ctx context.Context, sent func(n int64)) error {
	if d.Empty() {
		return nil
	}
	if sent == nil {
		sent = func(int64) {}
	}
	return d.blob.Stage(ctx, Name(d.digest), sent)
}

// commitAhead commits the shard now if its store takes long to do so. Commit has little to do then.
func (d *Draft) commitAhead(ctx context.Context) error {
	if d.Empty() || !store.CommitsAhead(d.to) {
		return nil
	}
	_, err := d.Commit(ctx)
	return err
}

// Commit makes the shard durable under its CID and returns its location; an empty one has none. It may be called again.
// It returns fs.ErrNotExist when somebody else discarded the temporary file.
func (d *Draft) Commit(ctx context.Context) (location string, err error) {
	if d.Empty() {
		return "", nil
	}
	return d.blob.Commit(ctx, Name(d.digest))
}

// Abort removes the temporary file. After Commit it only gives back what was kept for reading the shard again. It may
// be called more than once.
func (d *Draft) Abort() error {
	if d.Empty() {
		return nil
	}
	return d.blob.Abort()
}
