// Package pack reads planned segments, hashes their chunks and streams them into shards.
package pack

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Repository is the part of the repository that packing needs.
type Repository interface {
	// ShardSegments yields the planned segments of a shard, in order.
	ShardSegments(ctx context.Context, shard int64) iter.Seq2[sqlrepo.PackSegment, error]
}

// Packer packs the shards of one source, one at a time. Each worker has a Packer of its own.
type Packer struct {
	Repo  Repository
	Store store.Store
	FS    source.FS
	// Root is the path of the source.
	Root string
	// ReadAhead is the largest number of concurrent reads. A read opens and reads a small file, or reads a chunk of a
	// large file.
	ReadAhead int
	// Buffers are reused from shard to shard.
	Buffers *Buffers
	// Compare compares files with what was scanned.
	Compare source.Comparison
	// PieceCID is true if the piece CIDs of the shards are to be computed.
	PieceCID bool
	Progress *progress.Counters
	// Sent, if not nil, is called from many goroutines with the number of bytes sent to the store.
	Sent func(n int64)
}

// Packed is a shard that is written but not committed. Callers must end its draft, and each draft that is made of
// it.
type Packed struct {
	Draft *shard.Draft
	// Shard is the row as it was claimed, with Content filled in.
	Shard sqlrepo.Shard
	// Digests are the digests of the planned chunks. The digest of a chunk that was not packed is zero.
	Digests []byte
	// Files is the number of files that end in the shard.
	Files int64
	// TakenOut are the entries without content in the shard, because they could not be read as they were scanned.
	TakenOut []sqlrepo.TakenOut

	count count
}

// Abort aborts the draft of a shard that is not going to be recorded, and takes back what was counted. It may be
// called more than once.
func (p *Packed) Abort() error {
	p.count.takeBack()
	return p.Draft.Abort()
}

// Pack writes a shard under a temporary name of the owner. It takes out files that can't be read as they were
// scanned. If such a file was already written in part, the shard begins again without the file.
//
// Pack calls read from many goroutines: with the number of bytes of each read, and with 0 for each opened file.
//
// When Pack fails, it leaves nothing behind and counts nothing. If the source can't be read at all, it returns an
// error of source.Fatal.
func (p *Packer) Pack(ctx context.Context, row sqlrepo.Shard, owner string, read func(n int64)) (*Packed, error) {
	a := attempt{
		packer: p, shard: row, owner: owner, out: map[int64]sqlrepo.TakenOut{},
		stream: stream{reader: reader{p.FS, p.Root, p.Compare, read}, buffers: p.Buffers, readers: max(1, p.ReadAhead)},
		part:   p.Progress.Shard(fmt.Sprintf("shard %d", row.Ordinal), row.PlannedSize),
	}
	defer a.part.End()

	for {
		// Each new attempt leaves out at least one more file, so the loop ends.
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

// stage sends the bytes to the store before the shard's turn to be sealed. Usually all of them stay in the shard.
func (p *Packed) stage(ctx context.Context, sent func(n int64)) error {
	if err := p.Draft.Stage(ctx, sent); err != nil {
		return errors.Join(err, p.Abort())
	}
	return nil
}
