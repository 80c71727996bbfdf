package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// batchFiles bounds the small files of one read batch: on a slow source more batches side by side are better.
const batchFiles = 16

// errChanged is why an entry does not have the content that it had when it was scanned.
var errChanged = errors.New("changed since it was scanned")

// chunk is one block of the shard to be.
type chunk struct {
	segment *openSegment
	// index is its place in the plan.
	index  int64
	offset int64
	data   []byte
	digest [sha256.Size]byte
	// last tells that the segment ends with it.
	last bool
}

// batch is what one reader reads at a time, at most a chunk's length together: one chunk of a large file, or some small
// files.
type batch struct {
	chunks []chunk
	buffer []byte
	length int64
	done   chan struct{}
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// openSegment is shared by the readers of its chunks. The first one opens the file, the last one closes it.
type openSegment struct {
	sqlrepo.PackSegment
	once    sync.Once
	file    source.File
	pending atomic.Int64
	mu      sync.Mutex
	err     error
	// written tells that the shard holds some of it; only the writer of the shard looks at it.
	written bool
}

// fail keeps the first error.
func (s *openSegment) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

func (s *openSegment) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// cut makes batches of the segments, in order.
func cut(segments iter.Seq2[sqlrepo.PackSegment, error], yield func(*batch)) error {
	open := newBatch()
	var failure error
	for planned, err := range segments {
		if err != nil {
			failure = err
			break
		}
		segment := &openSegment{PackSegment: planned}
		n := unixfs.Chunks(segment.Length)
		segment.pending.Store(n)
		for k := range n {
			offset := k * unixfs.ChunkSize
			length := min(segment.Length-offset, unixfs.ChunkSize)
			if open.length+length > unixfs.ChunkSize || len(open.chunks) == batchFiles {
				yield(open)
				open = newBatch()
			}
			open.chunks = append(open.chunks, chunk{
				segment: segment, index: segment.Chunk + k, offset: segment.Offset + offset, last: k == n-1,
			})
			open.length += length
		}
	}
	if len(open.chunks) > 0 {
		yield(open)
	}
	return failure
}

// length is how many bytes of its file a chunk has.
func (c *chunk) length() int64 {
	return min(c.segment.Offset+c.segment.Length-c.offset, unixfs.ChunkSize)
}

// read fills the buffer and hashes the chunks. What goes wrong with a file is kept with its segment. When ctx has ended,
// files are closed and nothing is read.
func (b *batch) read(ctx context.Context, fsys source.FS, root string) {
	defer close(b.done)
	free := b.buffer
	for i := range b.chunks {
		c := &b.chunks[i]
		if ctx.Err() == nil {
			length := c.length()
			c.data, free = free[:length:length], free[length:]
			c.read(fsys, root)
			c.digest = sha256.Sum256(c.data)
		}
		c.segment.release()
	}
}

func (c *chunk) read(fsys source.FS, root string) {
	c.segment.once.Do(func() { c.segment.fail(c.segment.open(fsys, root)) })
	if c.segment.failure() != nil {
		return
	}
	n, err := c.segment.file.ReadAt(c.data, c.offset)
	if n == len(c.data) {
		return
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it is shorter now", errChanged)
	}
	c.segment.fail(err)
}

func (s *openSegment) open(fsys source.FS, root string) error {
	file, err := fsys.Open(source.OSPath(root, s.Path))
	if err != nil {
		return err
	}
	s.file = file
	return s.unchanged()
}

// unchanged compares the open file with what was scanned.
func (s *openSegment) unchanged() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	now, was := source.Fingerprint(info, nil), s.PackSegment
	switch {
	case now.Kind != was.Kind:
		return fmt.Errorf("%w: it is a %s now", errChanged, now.Kind)
	case now.Size != was.Size:
		return fmt.Errorf("%w: its length was %d and is %d", errChanged, was.Size, now.Size)
	case now.ModTime != was.ModTime:
		return fmt.Errorf("%w: it was modified", errChanged)
	}
	return nil
}

// release is called once for each chunk; the last one looks at the file again and closes it.
func (s *openSegment) release() {
	if s.pending.Add(-1) > 0 || s.file == nil {
		return
	}
	if s.failure() == nil {
		s.fail(s.unchanged())
	}
	if err := s.file.Close(); err != nil {
		s.fail(err)
	}
}
