package unixfs

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/guppy-prep/guppy/internal/host/durable"
)

const (
	spillBuffer = 64 << 10
	frameHeader = 8 + 4 // hash, length of the record
)

// spill keeps runs of directory entries in an unnamed temporary file, one after the other. Each run is sorted by
// hash.
type spill struct {
	file *os.File
	runs []runSpan
}

type runSpan struct {
	end     int64
	records int
}

func newSpill(dir string) (*spill, error) {
	file, err := durable.CreateUnnamed(dir)
	if err != nil {
		return nil, fmt.Errorf("create a temporary file for a large directory: %w", err)
	}
	return &spill{file: file}, nil
}

func (s *spill) end() int64 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].end
}

// write moves the records of a sorted arena into a run of their own.
func (s *spill) write(a *arena) error {
	end := s.end()
	w := bufio.NewWriterSize(s.file, spillBuffer)

	for _, slot := range a.index {
		r := a.buf[slot.offset:]
		_, n := decode(slot.hash, r)
		var head [frameHeader]byte
		binary.BigEndian.PutUint64(head[:], slot.hash)
		binary.BigEndian.PutUint32(head[8:], uint32(n))

		// The error is checked at Flush: a bufio.Writer keeps its first error.
		_, _ = w.Write(head[:])
		_, _ = w.Write(r[:n])

		end += int64(frameHeader + n)
	}

	if err := w.Flush(); err != nil {
		return fmt.Errorf("write a temporary file for a large directory: %w", err)
	}

	s.runs = append(s.runs, runSpan{end: end, records: len(a.index)})
	a.reset()
	return nil
}

// merge returns the records of all runs in the order of their hashes.
func (s *spill) merge() iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		runs, err := s.openRuns()
		for err == nil && len(runs) > 0 {
			if !yield(runs[0].record, nil) {
				return
			}
			err = runs.advance()
		}
		if err != nil {
			yield(record{}, fmt.Errorf("read a temporary file for a large directory: %w", err))
		}
	}
}

func (s *spill) openRuns() (runHeap, error) {
	var runs runHeap
	start := int64(0)
	for _, span := range s.runs {
		in := io.NewSectionReader(s.file, start, span.end-start)
		start = span.end

		r := &run{in: bufio.NewReaderSize(in, spillBuffer), left: span.records}
		if err := r.next(); err == nil {
			runs = append(runs, r)
		} else if !errors.Is(err, io.EOF) {
			return nil, err
		}
	}

	heap.Init(&runs)
	return runs, nil
}

// close closes the file. The file has no name, so closing it also deletes it.
func (s *spill) close() { _ = s.file.Close() }

// run reads one sorted run.
type run struct {
	record
	in   *bufio.Reader
	left int // records not read yet
	buf  []byte
}

// next reads the next record, or returns io.EOF after the last one.
func (r *run) next() error {
	if r.left == 0 {
		return io.EOF
	}

	r.left--
	head, err := r.read(frameHeader)
	if err != nil {
		return err
	}

	hash, n := binary.BigEndian.Uint64(head), binary.BigEndian.Uint32(head[8:])
	body, err := r.read(int(n))
	if err != nil {
		return err
	}

	r.record, _ = decode(hash, body)
	return nil
}

// read returns the next n bytes. They are valid until the next call.
func (r *run) read(n int) ([]byte, error) {
	r.buf = slices.Grow(r.buf[:0], n)[:n]
	_, err := io.ReadFull(r.in, r.buf)
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	return r.buf, err
}

// runHeap is a heap with the lowest hash at its head.
type runHeap []*run

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return h[i].hash < h[j].hash }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *runHeap) Push(x any) { *h = append(*h, x.(*run)) }

// Pop implements heap.Interface.
func (h *runHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	*h = (*h)[:last]
	return r
}

// advance moves the head run to its next record, and drops the run if there is none.
func (h *runHeap) advance() error {
	err := (*h)[0].next()
	if errors.Is(err, io.EOF) {
		heap.Pop(h)
		return nil
	}
	heap.Fix(h, 0)
	return err
}
