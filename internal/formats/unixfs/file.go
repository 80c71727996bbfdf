package unixfs

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

const (
	// ChunkSize is the length of every chunk of a file except the last one.
	ChunkSize = 1 << 20

	maxFileLinks = 1024
)

var (
	// ErrChunkCount is returned when a file gets more or fewer digests than its size requires.
	ErrChunkCount = errors.New("wrong number of chunk digests")
	// ErrClosed is returned by the methods of a builder that was closed.
	ErrClosed = errors.New("the UnixFS node is closed")
)

// Chunks returns the number of chunks of a file of that size. An empty file has one empty chunk.
func Chunks(size int64) int64 { return chunks(size, ChunkSize) }

func chunks(size, chunkSize int64) int64 {
	return max(1, size/chunkSize+min(1, size%chunkSize))
}

// File builds the DAG of one file as a balanced tree. It holds one unfinished node for each level of the tree.
type File struct {
	emit      func(Block) error
	lifts     bool
	size      int64
	chunkSize int64
	width     int
	want, got int64
	levels    []fileNode // from the one above the chunks up to the root
	err       error      // what stopped the file, or ErrClosed
}

// NewFile starts a file of that size. It passes its blocks to emit, without the blocks of the chunks. A file with
// repeated content emits equal blocks more than once.
func (p Profile) NewFile(size int64, emit func(Block) error) *File {
	f := &File{emit: emit, lifts: p.lifts(), err: p.check()}
	if f.err == nil && size < 0 {
		f.err = fmt.Errorf("file size %d is negative", size)
	}
	f.measure(size, ChunkSize, maxFileLinks)
	return f
}

func (f *File) measure(size, chunkSize int64, width int) {
	f.size, f.chunkSize, f.width = size, chunkSize, width
	f.want = chunks(size, chunkSize)
}

// Add takes the concatenated sha2-256 digests of the next chunks. How the digests are grouped into calls makes no
// difference. Add returns ErrChunkCount if there are too many digests, and any error of emit. After an error, the
// file can't be used.
func (f *File) Add(digests []byte) error {
	if f.err != nil {
		return f.err
	}

	n := int64(len(digests) / sha256.Size)
	if len(digests)%sha256.Size != 0 {
		return f.fail(fmt.Errorf("%d bytes are not a whole number of chunk digests", len(digests)))
	}
	if n > f.want-f.got {
		return f.fail(fmt.Errorf("%w: %d for a file of %d", ErrChunkCount, f.got+n, f.want))
	}

	for ; len(digests) > 0; digests = digests[sha256.Size:] {
		if err := f.push(0, f.chunk([sha256.Size]byte(digests))); err != nil {
			return f.fail(err)
		}
	}
	return nil
}

// chunk returns the next chunk as the child of a file node.
func (f *File) chunk(digest [sha256.Size]byte) fileChild {
	size := uint64(min(f.chunkSize, f.size-f.got*f.chunkSize))
	f.got++
	return fileChild{Link: Link{CID: RawCID(digest), Tsize: size}, size: size}
}

// Close finishes the file and returns the link to its root. The root is a raw block if the file has one chunk.
// Close returns ErrChunkCount if digests are missing, ErrClosed if called again, and any earlier error or error of
// emit.
func (f *File) Close() (Link, error) {
	if f.err != nil {
		return Link{}, f.err
	}
	if f.got < f.want {
		return Link{}, f.fail(fmt.Errorf("%w: %d for a file of %d", ErrChunkCount, f.got, f.want))
	}

	root, err := f.fold()
	if err != nil {
		return Link{}, f.fail(err)
	}

	f.err = ErrClosed
	return root, nil
}

// fold passes the unfinished node of each level to the level above. The root is on the top level.
func (f *File) fold() (Link, error) {
	for level := 0; ; level++ {
		n := &f.levels[level]
		top := level == len(f.levels)-1
		if n.count == 0 {
			continue
		}

		// A node with a single child may be replaced by that child.
		child := n.last
		if n.count > 1 || !top && !f.lifts {
			var err error
			if child, err = n.finish(f.emit); err != nil {
				return Link{}, err
			}
		}

		if top {
			return child.Link, nil
		}

		if err := f.push(level+1, child); err != nil {
			return Link{}, err
		}
	}
}

// push adds a child to the unfinished node of a level. It finishes the nodes that are full then, on this level and
// above.
func (f *File) push(level int, c fileChild) error {
	for ; ; level++ {
		if level == len(f.levels) {
			f.levels = append(f.levels, fileNode{})
		}

		n := &f.levels[level]
		n.add(c)
		if n.count < f.width {
			return nil
		}

		var err error
		if c, err = n.finish(f.emit); err != nil {
			return err
		}
	}
}

func (f *File) fail(err error) error {
	f.err = err
	f.levels = nil
	return err
}
