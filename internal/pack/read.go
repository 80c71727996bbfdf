package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// errChanged is why an entry does not have the content that it had when it was scanned.
var errChanged = errors.New("changed since it was scanned")

// reader reads chunks. Any number of goroutines may use it at once.
type reader struct {
	fs   source.FS
	root string
	// arrived is told how many bytes came, and 0 for a file that was opened.
	arrived func(n int64)
}

// chunk is one block of the shard to be.
type chunk struct {
	batch   *batch
	segment *openSegment
	// index is its place in the plan.
	index  int64
	offset int64
	data   []byte
	digest [sha256.Size]byte
	// last tells that the segment ends with it.
	last bool
}

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

// length is how many bytes of its file a chunk has.
func (c *chunk) length() int64 {
	return min(c.segment.Offset+c.segment.Length-c.offset, unixfs.ChunkSize)
}

// read fills the chunk's part of the buffer and hashes it. What goes wrong with a file is kept with its segment. When ctx
// has ended, the file is closed and nothing is read.
func (r *reader) read(ctx context.Context, c *chunk) {
	if ctx.Err() == nil {
		r.fill(c)
		c.digest = sha256.Sum256(c.data)
	}
	c.segment.release()
	c.batch.release()
}

func (r *reader) fill(c *chunk) {
	c.segment.once.Do(func() { c.segment.fail(r.open(c.segment)) })
	if c.segment.failure() != nil {
		return
	}
	n, err := c.segment.file.ReadAt(c.data, c.offset)
	r.arrived(int64(n))
	if n == len(c.data) {
		return
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it is shorter now", errChanged)
	}
	c.segment.fail(err)
}

func (r *reader) open(s *openSegment) error {
	file, err := r.fs.Open(source.OSPath(r.root, s.Path))
	if err != nil {
		return err
	}
	s.file = file
	r.arrived(0)
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
