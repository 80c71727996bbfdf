package remake

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// maker makes blocks of one shard.
type maker interface {
	// block returns the bytes of a node, which may be wrong.
	block(ctx context.Context, node sqlrepo.Node) ([]byte, error)
}

// shardReading is a shard as its rows describe it: the header, then a section for each node.
type shardReading struct {
	shard sqlrepo.Shard
	nodes []sqlrepo.Node
	maker maker
	// release, if not nil, is called by Close.
	release func()

	mu sync.Mutex
	// last is the block that was made last. A caller that reads in small pieces asks for it again.
	last     []byte
	position int32
}

// Close releases the blocks that were made.
func (r *shardReading) Close() error {
	if r.release != nil {
		r.release()
	}
	return nil
}

// ReadAt makes the sections that the range touches.
func (r *shardReading) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, io.ErrUnexpectedEOF)
	}
	for n < len(p) {
		piece, err := r.from(ctx, off+int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], piece)
	}
	return n, nil
}

// from returns some bytes of the shard that begin at an offset: the rest of the header, of the header of a
// section, or of a block.
func (r *shardReading) from(ctx context.Context, off int64) ([]byte, error) {
	if off < int64(len(car.Header)) {
		return []byte(car.Header[off:]), nil
	}

	i, _ := slices.BinarySearchFunc(r.nodes, off, func(node sqlrepo.Node, off int64) int {
		if end(node) <= off {
			return -1
		}
		return 1
	})

	if i == len(r.nodes) {
		return nil, io.EOF
	}

	node := r.nodes[i]
	// Before its block, a section has a header.
	if into := off - int64(node.Position); into >= 0 {
		block, err := r.block(ctx, node)
		if err != nil {
			return nil, err
		}
		return block[into:], nil
	}

	header := car.AppendSectionHeader(nil, node.Codec, node.Digest, int64(node.Length))
	into := off - (int64(node.Position) - int64(len(header)))

	if into < 0 {
		return nil, fmt.Errorf("%w: its rows have a gap at offset %d", ErrLost, off)
	}
	return header[into:], nil
}

// end returns the end of a node's section.
func end(node sqlrepo.Node) int64 { return int64(node.Position) + int64(node.Length) }

func (r *shardReading) block(ctx context.Context, node sqlrepo.Node) ([]byte, error) {
	r.mu.Lock()
	last, position := r.last, r.position
	r.mu.Unlock()

	if last != nil && position == node.Position {
		return last, nil
	}

	// The lock is not held here, so that other reads go on while a block is made.
	block, err := r.maker.block(ctx, node)
	if err != nil {
		return nil, fmt.Errorf("block at offset %d of shard %d of upload %d: %w", node.Position, r.shard.Ordinal,
			r.shard.Upload, err)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.position = block, node.Position
	return block, nil
}

// isOf reports whether a block is the block of a node.
func isOf(block []byte, node sqlrepo.Node) bool {
	return len(block) == int(node.Length) && sha256.Sum256(block) == node.Digest
}
