// Package shard writes CAR shards. Each block is written once, and the whole shard is hashed while it streams into
// the store.
package shard

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrTooSmall is returned when a block of the upload does not fit a shard.
var ErrTooSmall = errors.New("shard size too small")

// CheckFits returns ErrTooSmall, with the size that is needed, unless a block of this length fits a shard of this
// size.
func CheckFits(block, shardSize int64) error {
	if need := int64(len(car.Header)) + car.SectionSize(block); shardSize < need {
		return fmt.Errorf("%w: %d bytes can't hold a block of %d bytes; run again with --shard-size %d or more",
			ErrTooSmall, shardSize, block, need)
	}
	return nil
}

// bufferSize is large enough to join small blocks into larger writes.
const bufferSize = 256 << 10

// Builder writes one shard. Callers must end it with Finish or Abort.
type Builder struct {
	to     store.Store
	owner  string
	blob   store.Blob
	out    *bufio.Writer
	hashes hashes
	tee    *tee
	size   int64
	nodes  []sqlrepo.Node
	held   map[[sha256.Size]byte]struct{}
	header []byte
}

// NewBuilder begins a shard in the store.
func NewBuilder(ctx context.Context, to store.Store, owner string, options ...Option) (*Builder, error) {
	blob, err := to.Create(ctx, owner)
	if err != nil {
		return nil, err
	}

	b := &Builder{to: to, owner: owner, blob: blob, held: make(map[[sha256.Size]byte]struct{})}
	b.hashes.whole = sha256.New()
	for _, option := range options {
		option(b)
	}

	b.tee = newTee(blob, b.hashes.writers()...)
	b.out = bufio.NewWriterSize(b.tee, bufferSize)

	// The header is hashed too, so it is written through the tee.
	if _, err := b.out.WriteString(car.Header); err != nil {
		return nil, errors.Join(err, b.Abort())
	}

	b.size = int64(len(car.Header))
	return b, nil
}

// Size returns the length of the CAR file so far.
func (b *Builder) Size() int64 { return b.size }

// Blocks returns the number of blocks so far.
func (b *Builder) Blocks() int { return len(b.nodes) }

// Holds reports whether the shard already contains the block.
func (b *Builder) Holds(digest [sha256.Size]byte) bool {
	_, held := b.held[digest]
	return held
}

// Add writes a block, unless the shard already contains it.
func (b *Builder) Add(codec uint8, digest [sha256.Size]byte, data []byte) error {
	if b.Holds(digest) {
		return nil
	}

	b.held[digest] = struct{}{}
	b.header = car.AppendSectionHeader(b.header[:0], codec, digest, int64(len(data)))

	if _, err := b.out.Write(b.header); err != nil {
		return err
	}
	if _, err := b.out.Write(data); err != nil {
		return err
	}

	position := b.size + int64(len(b.header))
	b.size = position + int64(len(data))
	if b.size > car.MaxShardSize {
		return fmt.Errorf("shard of %d bytes: at most %d are allowed", b.size, car.MaxShardSize)
	}

	b.nodes = append(b.nodes, sqlrepo.Node{
		Position: int32(position), Length: int32(len(data)), Codec: codec, Digest: digest,
	})

	return nil
}

// Finish makes the shard durable under its temporary name. The builder can't be used after that. If Finish fails,
// it aborts the builder.
func (b *Builder) Finish(ctx context.Context) (*Draft, error) {
	draft := &Draft{to: b.to, owner: b.owner, pieces: b.hashes.piece != nil}

	// An empty shard is not stored.
	if len(b.nodes) == 0 {
		if err := b.Abort(); err != nil {
			return nil, err
		}
		return draft, nil
	}

	if err := b.out.Flush(); err != nil {
		return nil, errors.Join(err, b.Abort())
	}

	b.tee.close()
	draft.blob, draft.nodes, draft.size = b.blob, b.nodes, b.size

	var err error
	if draft.digest, draft.piece, err = b.hashes.sums(); err != nil {
		return nil, errors.Join(err, b.Abort())
	}

	if err := b.blob.Sync(ctx); err != nil {
		return nil, errors.Join(err, b.Abort())
	}
	return draft, nil
}

// Abort discards what was written.
func (b *Builder) Abort() error {
	b.tee.close()
	b.hashes.close()
	return b.blob.Abort()
}
