package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/shard"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

var errStartAgain = errors.New("the shard begins again without a file that changed")

// buffers bounds the memory of one worker: a reader waits until one is free.
type buffers chan []byte

func newBuffers(readAhead int) buffers {
	b := make(buffers, readAhead+1)
	for range cap(b) {
		b <- nil
	}
	return b
}

// take returns a buffer of a chunk's length, made on its first use.
func (b buffers) take(ctx context.Context) ([]byte, bool) {
	select {
	case buffer := <-b:
		if buffer == nil {
			buffer = make([]byte, unixfs.ChunkSize)
		}
		return buffer, ctx.Err() == nil
	case <-ctx.Done():
		return nil, false
	}
}

// attempt packs a shard, without the entries in out.
type attempt struct {
	packer  *Packer
	shard   sqlrepo.Shard
	buffers buffers
	out     map[int64]sqlrepo.TakenOut

	builder      *shard.Builder
	digests      []byte
	files, bytes int64
}

// run streams the segments into the store. It returns errStartAgain when what was written is of no use.
func (a *attempt) run(ctx context.Context) (packed sqlrepo.PackedShard, err error) {
	a.digests = make([]byte, a.shard.Chunks*sha256.Size)
	a.files, a.bytes = 0, 0
	if a.builder, err = shard.NewBuilder(ctx, a.packer.Store, a.packer.Owner); err != nil {
		return packed, err
	}
	sealed := false
	defer func() {
		if !sealed {
			a.packer.Progress.Bytes.Add(-a.bytes)
			a.packer.Progress.Files.Add(-a.files)
			err = errors.Join(err, a.builder.Abort())
		}
	}()
	if err := a.stream(ctx); err != nil {
		return packed, err
	}
	packed, err = a.builder.Seal(ctx)
	if err != nil {
		return packed, err
	}
	sealed = true
	packed.Shard.ID, packed.Shard.Content, packed.Digests = a.shard.ID, a.bytes, a.digests
	for _, entry := range slices.Sorted(maps.Keys(a.out)) {
		packed.TakenOut = append(packed.TakenOut, a.out[entry])
	}
	return packed, nil
}

// stream reads ahead in many goroutines and writes in order. All of them have ended when it returns.
func (a *attempt) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue, ordered := make(chan *batch, a.packer.ReadAhead), make(chan *batch, a.packer.ReadAhead)
	segments := a.segments(ctx)
	var readers sync.WaitGroup
	var planFailed error
	readers.Go(func() {
		defer close(queue)
		defer close(ordered)
		planFailed = a.dispatch(ctx, segments, queue, ordered)
	})
	for range a.packer.ReadAhead {
		readers.Go(func() {
			for b := range queue {
				b.read(ctx, a.packer.FS, a.packer.Root)
			}
		})
	}
	err := a.write(ctx, ordered)
	cancel()
	for b := range ordered {
		<-b.done
		a.buffers <- b.buffer
	}
	readers.Wait()
	if err == nil {
		err = planFailed
	}
	return err
}

// dispatch gives every batch a buffer and a reader. When ctx has ended, it only has files closed.
func (a *attempt) dispatch(ctx context.Context, segments iter.Seq2[sqlrepo.PackSegment, error],
	queue, ordered chan<- *batch) error {
	return cut(segments, func(b *batch) {
		buffer, ok := a.buffers.take(ctx)
		if !ok {
			b.read(ctx, a.packer.FS, a.packer.Root)
			if buffer != nil {
				a.buffers <- buffer
			}
			return
		}
		b.buffer = buffer
		ordered <- b
		queue <- b
	})
}

// segments are those of the entries that were not taken out before this attempt.
func (a *attempt) segments(ctx context.Context) iter.Seq2[sqlrepo.PackSegment, error] {
	taken := maps.Clone(a.out)
	return func(yield func(sqlrepo.PackSegment, error) bool) {
		for segment, err := range a.packer.Repo.ShardSegments(ctx, a.shard.ID) {
			if _, out := taken[segment.Entry]; err == nil && out {
				continue
			}
			if !yield(segment, err) {
				return
			}
		}
	}
}

func (a *attempt) write(ctx context.Context, ordered <-chan *batch) error {
	for b := range ordered {
		<-b.done
		err := a.writeBatch(ctx, b)
		a.buffers <- b.buffer
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (a *attempt) writeBatch(ctx context.Context, b *batch) error {
	for i := range b.chunks {
		c := &b.chunks[i]
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
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
		a.count(c)
	}
	return nil
}

func (a *attempt) count(c *chunk) {
	a.bytes += int64(len(c.data))
	a.packer.Progress.Bytes.Add(int64(len(c.data)))
	if c.last && c.offset+int64(len(c.data)) == c.segment.Size {
		a.files++
		a.packer.Progress.Files.Add(1)
	}
}

// takeOut leaves an entry out of the shard, which begins again if it holds some of it. It returns an error from
// source.Fatal when the failure is not the entry's own.
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
	if (gone || errors.Is(failure, errChanged)) && segment.State == sqlrepo.Ready {
		out.State = sqlrepo.Changed
	}
	a.out[segment.Entry] = out
	if segment.written {
		return errStartAgain
	}
	return nil
}
