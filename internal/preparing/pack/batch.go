package pack

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// batchFiles bounds the small files of one batch. The first file of a batch waits until the last one is read.
const batchFiles = 64

// maxBatches bounds the memory of a worker, however many reads are under way in the batches.
const maxBatches = 16

// Buffers is the memory that one worker reads into. It may be used for one shard after another, and takes the
// memory of at most 17 chunks.
type Buffers struct{ free chan []byte }

// NewBuffers returns buffers for as many batches as readAhead reads can be spread over.
func NewBuffers(readAhead int) *Buffers {
	b := &Buffers{make(chan []byte, max(1, min(readAhead, maxBatches))+1)}
	for range cap(b.free) {
		b.free <- nil
	}
	return b
}

// get waits for a buffer of a chunk's length. A buffer is allocated on its first use. get returns nil if ctx has
// ended.
func (b *Buffers) get(ctx context.Context) []byte {
	select {
	case buffer := <-b.free:
		// If both are ready, select may choose the buffer.
		if ctx.Err() != nil {
			b.give(buffer)
			return nil
		}

		if buffer == nil {
			buffer = make([]byte, unixfs.ChunkSize)
		}
		return buffer
	case <-ctx.Done():
		return nil
	}
}

func (b *Buffers) give(buffer []byte) { b.free <- buffer }

// batch is what shares a buffer: one chunk of a large file, or some small files, in order.
type batch struct {
	chunks  []chunk
	buffer  []byte
	length  int64
	pending atomic.Int64
	// done is closed when all chunks were read.
	done chan struct{}
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// add returns false if there is no room for the chunk.
func (b *batch) add(c chunk) bool {
	length := c.length()
	if b.length+length > unixfs.ChunkSize || len(b.chunks) == batchFiles {
		return false
	}

	c.batch = b
	b.chunks = append(b.chunks, c)
	b.length += length
	return true
}

// ready gives each chunk its part of the buffer. The buffer may be nil if no chunk is going to be read.
func (b *batch) ready(buffer []byte) {
	b.buffer = buffer
	b.pending.Store(int64(len(b.chunks)))

	if buffer == nil {
		return
	}

	for i := range b.chunks {
		length := b.chunks[i].length()
		b.chunks[i].data, buffer = buffer[:length:length], buffer[length:]
	}
}

// release is called once for each chunk.
func (b *batch) release() {
	if b.pending.Add(-1) == 0 {
		close(b.done)
	}
}

// cut cuts the segments into batches, in order.
func cut(segments iter.Seq2[sqlrepo.PackSegment, error], yield func(*batch)) (failure error) {
	open := newBatch()
	for planned, err := range segments {
		if err != nil {
			failure = err
			break
		}

		segment := &openSegment{PackSegment: planned}
		n := unixfs.Chunks(segment.Length)
		segment.pending.Store(n)

		for k := range n {
			c := chunk{
				segment: segment, index: segment.Chunk + k, offset: segment.Offset + k*unixfs.ChunkSize, last: k == n-1,
			}

			if !open.add(c) {
				yield(open)
				open = newBatch()
				open.add(c)
			}
		}
	}

	// What was cut before a failure still goes out.
	if len(open.chunks) > 0 {
		yield(open)
	}
	return failure
}
