package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// errChanged is the reason why an entry does not have the content that it had when it was scanned.
var errChanged = errors.New("changed since it was scanned")

// reader reads chunks. It is safe for concurrent use.
type reader struct {
	fs      source.FS
	root    string
	compare source.Comparison
	// arrived is called with the number of bytes of each read, and with 0 for each opened file.
	arrived func(n int64)
}

// chunk is one block of the shard.
type chunk struct {
	batch   *batch
	segment *openSegment
	// index is the chunk's place in the plan of the shard.
	index  int64
	offset int64
	data   []byte
	digest [sha256.Size]byte
	// last is true for the last chunk of its segment.
	last bool
}

// openSegment is shared by the readers of its chunks. The first reader opens the file, and the last one closes it.
type openSegment struct {
	sqlrepo.PackSegment
	once    sync.Once
	file    source.File
	pending atomic.Int64
	mu      sync.Mutex
	err     error
	// written is true if the shard holds some of the segment. Only the writer of the shard uses it.
	written bool
	// unsaid is true if the file system does not report the length of the file.
	unsaid bool
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

// length returns the number of the file's bytes in the chunk.
func (c *chunk) length() int64 {
	return min(c.segment.Offset+c.segment.Length-c.offset, unixfs.ChunkSize)
}

// read fills the chunk's part of the buffer and hashes it. Errors of a file are kept with its segment. If ctx has
// ended, read reads nothing and only closes the file.
func (r *reader) read(ctx context.Context, c *chunk) {
	if ctx.Err() == nil {
		r.fill(ctx, c)
		c.digest = sha256.Sum256(c.data)
	}
	r.release(c.segment)
	c.batch.release()
}

func (r *reader) fill(ctx context.Context, c *chunk) {
	c.segment.once.Do(func() { c.segment.fail(r.open(ctx, c.segment)) })
	if c.segment.failure() != nil || len(c.data) == 0 { // an empty file is read at its end, in release
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

func (r *reader) open(ctx context.Context, s *openSegment) error {
	file, err := r.fs.Open(source.OSPath(r.root, s.Path))
	if err != nil {
		return err
	}

	s.file = file
	r.arrived(0)
	if err := r.unchanged(s); err != nil || !s.Unproven {
		return err
	}

	// After a tick of the file system's clock, every change during the read shows.
	select {
	case <-time.After(source.Tick(s.Fingerprint)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unchanged compares the open file with what was scanned.
func (r *reader) unchanged(s *openSegment) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}

	now := source.Fingerprint(info, nil)
	if now.Size != s.Size && r.isUnsaid(s, now) {
		now.Size, s.unsaid = s.Size, true
	}

	if why := r.compare.Difference(s.Fingerprint, now); why != "" {
		return fmt.Errorf("%w: %s", errChanged, why)
	}
	return nil
}

// isUnsaid reports whether an open file may still have the length that was found by reading it during the scan.
func (r *reader) isUnsaid(s *openSegment, now sqlrepo.Fingerprint) bool {
	return now.Modified().Equal(s.Modified()) &&
		(now.Size == 0 || source.TraitsAt(r.fs, source.OSPath(r.root, s.Path)).Unsaid(now.Size))
}

// release is called once for each chunk. The last call checks the file again and closes it.
func (r *reader) release(s *openSegment) {
	if s.pending.Add(-1) > 0 || s.file == nil {
		return
	}

	if s.failure() == nil {
		s.fail(r.unchanged(s))
	}

	// The reported length proves nothing here, so the end of the file is read.
	if s.failure() == nil && (s.Size == 0 || s.unsaid) && s.Offset+s.Length == s.Size {
		s.fail(s.ended())
	}

	if err := s.file.Close(); err != nil {
		s.fail(err)
	}
}

// ended returns errChanged if a file is longer than it was scanned. It is for files whose reported length proves
// nothing, such as empty files.
func (s *openSegment) ended() error {
	n, err := s.file.ReadAt(make([]byte, 1), s.Size)
	switch {
	case n > 0:
		return fmt.Errorf("%w: it is longer than the %d bytes that were said", errChanged, s.Size)
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}
