package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

var errStartAgain = errors.New("the shard begins again without a file that changed")

// attempt packs a shard without the entries in out.
type attempt struct {
	packer *Packer
	shard  sqlrepo.Shard
	owner  string
	stream stream
	out    map[int64]sqlrepo.TakenOut

	builder *shard.Builder
	digests []byte
	part    *progress.Part
	count   count
}

// run streams the segments into the store. It returns errStartAgain if what it wrote can't be used.
func (a *attempt) run(ctx context.Context) (*Packed, error) {
	a.digests = make([]byte, a.shard.Chunks*sha256.Size)
	a.count = count{counters: a.packer.Progress, part: a.part}
	var err error

	a.builder, err = shard.NewBuilder(ctx, a.packer.Store, a.owner, shard.WithPiece(a.packer.PieceCID))
	if err != nil {
		return nil, err
	}

	if err := a.stream.run(ctx, a.segments(ctx), a.write); err != nil {
		a.count.takeBack()
		return nil, errors.Join(err, a.builder.Abort())
	}

	draft, err := a.builder.Finish(ctx)
	if err != nil {
		a.count.takeBack()
		return nil, err
	}

	packed := &Packed{Draft: draft, Shard: a.shard, Digests: a.digests, Files: a.count.files, count: a.count}
	packed.Shard.Content = a.count.bytes

	// The order of TakenOut must not depend on the map's.
	for _, entry := range slices.Sorted(maps.Keys(a.out)) {
		packed.TakenOut = append(packed.TakenOut, a.out[entry])
	}
	return packed, nil
}

// segments yields the segments of the entries that were not taken out before this attempt.
func (a *attempt) segments(ctx context.Context) iter.Seq2[sqlrepo.PackSegment, error] {
	leftOut := maps.Clone(a.out)
	return func(yield func(sqlrepo.PackSegment, error) bool) {
		for segment, err := range a.packer.Repo.ShardSegments(ctx, a.shard.ID) {
			if _, out := leftOut[segment.Entry]; err == nil && out {
				continue
			}
			if !yield(segment, err) {
				return
			}
		}
	}
}

// write adds the chunks of a batch to the shard. It takes out the entries of chunks that could not be read.
func (a *attempt) write(ctx context.Context, b *batch) error {
	for i := range b.chunks {
		c := &b.chunks[i]

		if ctx.Err() != nil {
			return context.Cause(ctx)
		}

		// A file that can't be read fails alone, not with the shard.
		if err := c.segment.failure(); err != nil {
			if err := a.takeOut(c.segment, err); err != nil {
				return err
			}
			continue
		}

		if err := a.builder.Add(cid.Raw, c.digest, c.data); err != nil {
			return err
		}

		copy(a.digests[c.index*sha256.Size:], c.digest[:])
		c.segment.written = true
		a.count.add(c)
	}
	return nil
}

// takeOut leaves an entry out of the shard. It returns errStartAgain if the shard already holds some of the entry,
// and an error of source.Fatal if the entry is not to blame for the failure.
func (a *attempt) takeOut(segment *openSegment, failure error) error {
	if _, out := a.out[segment.Entry]; out {
		return nil
	}

	if err := source.Fatal(a.packer.FS, a.packer.Root, failure); err != nil {
		return err
	}

	out := sqlrepo.TakenOut{Entry: segment.Entry, State: sqlrepo.Failed, Reason: source.Reason(failure)}
	gone := errors.Is(failure, fs.ErrNotExist)
	if gone {
		out.Reason = "vanished since it was scanned"
	}

	// A changed entry is scanned again, but only once: after that it has failed.
	if (gone || errors.Is(failure, errChanged)) && segment.State == sqlrepo.Ready {
		out.State = sqlrepo.Changed
	}

	a.out[segment.Entry] = out
	if segment.written {
		return errStartAgain
	}
	return nil
}

// count is what a shard has added to the progress.
type count struct {
	counters     *progress.Counters
	part         *progress.Part
	files, bytes int64
}

func (n *count) add(c *chunk) {
	length := int64(len(c.data))
	n.bytes += length
	n.part.Add(length)
	if c.last && c.offset+length == c.segment.Size {
		n.files++
		n.counters.Files.Add(1)
	}
}

// takeBack takes back what was counted. It may be called more than once.
func (n *count) takeBack() {
	n.part.Add(-n.bytes)
	n.counters.Files.Add(-n.files)
	n.files, n.bytes = 0, 0
}
