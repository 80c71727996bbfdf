// Package pack reads planned segments, hashes their chunks and streams them into shards.
package pack

import (
	"context"
	"errors"
	"iter"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Repository is what packing needs of the repository.
type Repository interface {
	// ShardSegments yields what a shard is to hold, in order.
	ShardSegments(ctx context.Context, shard int64) iter.Seq2[sqlrepo.PackSegment, error]
}

// Packer packs the shards of one source, one at a time: a worker has one of its own.
type Packer struct {
	Repo  Repository
	Store store.Store
	FS    source.FS
	// Root is where the source lies.
	Root string
	// ReadAhead is how many reads are under way at most: of a file that is opened and read, or of a chunk of a large file.
	ReadAhead int
	// Buffers are kept from shard to shard.
	Buffers *Buffers
	// Compare says how files are compared with what was scanned.
	Compare source.Comparison
	// PieceCID has the piece CIDs of the shards computed.
	PieceCID bool
	Progress *progress.Counters
	// Sent, if any, is called from many goroutines with the bytes that went to the store.
	Sent func(n int64)
}

// Packed is a shard that is written and not committed. Its draft has to be ended, as has each one that is made of it.
type Packed struct {
	Draft *shard.Draft
	// Shard is the row as it was claimed, but for its Content.
	Shard sqlrepo.Shard
	// Digests are those of the planned chunks, zero for a chunk that was not packed.
	Digests []byte
	// Files is how many files end in the shard.
	Files int64
	// TakenOut are the entries whose content the shard does not hold, because it could not be read as it was scanned.
	TakenOut []sqlrepo.TakenOut

	count count
}

// Abort is for a shard that does not come to be recorded: it aborts the draft and takes back what was counted. It may
// be called more than once.
func (p *Packed) Abort() error {
	p.count.takeBack()
	return p.Draft.Abort()
}

// Pack writes a shard under a temporary name of the owner. Files that can't be read as they were scanned are taken out;
// one that turns out to have changed after some of it was written makes the shard begin again without it. Pack calls
// read from many goroutines, with the bytes that each read gave, and with 0 for each file that was opened. When it
// fails, it leaves nothing behind and counts nothing. Its error is of source.Fatal when the source can't be read at
// all.
func (p *Packer) Pack(ctx context.Context, row sqlrepo.Shard, owner string, read func(n int64)) (*Packed, error) {
	a := attempt{
		packer: p, shard: row, owner: owner, out: map[int64]sqlrepo.TakenOut{},
		stream: stream{reader: reader{p.FS, p.Root, p.Compare, read}, buffers: p.Buffers, readers: max(1, p.ReadAhead)},
	}
	for {
		packed, err := a.run(ctx)
		if errors.Is(err, errStartAgain) {
			continue
		}
		if err == nil {
			err = packed.stage(ctx, p.Sent)
		}
		if err != nil {
			return nil, err
		}
		return packed, nil
	}
}

// stage has the store take the bytes in before the shard's turn: usually all of them stay in it.
func (p *Packed) stage(ctx context.Context, sent func(n int64)) error {
	if err := p.Draft.Stage(ctx, sent); err != nil {
		return errors.Join(err, p.Abort())
	}
	return nil
}
