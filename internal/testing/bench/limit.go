package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	limitCommand = "limit"
	limitReaders = 2
	limitBuffer  = 1 << 20
	// pieceSize is how much of a large file one goroutine takes at a time. It is small enough to let both end at
	// nearly the same time.
	pieceSize = 16 << 20
)

// piece is a range of a file.
type piece struct {
	path           string
	offset, length int64
}

// runLimit is the limit program: it does to the files below a source directory what preparing them can't do
// without, and nothing else. It is the yardstick, so it is as fast as plain Go gets: work is split evenly, a byte
// is read straight to where it is hashed and written from, small files share one write, and each goroutine has one
// output file.
func runLimit(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%w: bench %s SOURCE OUTPUT", errUsage, limitCommand)
	}

	pieces, err := listPieces(args[0])
	if err != nil {
		return err
	}

	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for i := range limitReaders {
		group.Go(func() error {
			return copyPieces(ctx, pieces, &next, filepath.Join(args[1], strconv.Itoa(i)))
		})
	}
	return group.Wait()
}

func listPieces(source string) (pieces []piece, err error) {
	err = filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}

		pieces = appendPieces(pieces, path, info.Size())
		return nil
	})
	return pieces, err
}

// appendPieces cuts a file into pieces. An empty file is one empty piece: it is opened too.
func appendPieces(pieces []piece, path string, size int64) []piece {
	offset := int64(0)
	for ; size-offset > pieceSize; offset += pieceSize {
		pieces = append(pieces, piece{path, offset, pieceSize})
	}
	return append(pieces, piece{path, offset, size - offset})
}

// copyPieces copies pieces until none are left.
func copyPieces(ctx context.Context, pieces []piece, next *atomic.Int64, output string) (err error) {
	file, err := os.Create(output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()

	c := &copier{output: file, block: sha256.New(), shard: sha256.New(), buffer: make([]byte, 0, limitBuffer)}
	for i := next.Add(1) - 1; i < int64(len(pieces)); i = next.Add(1) - 1 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.copy(pieces[i]); err != nil {
			return err
		}
	}
	return c.flush()
}

// copier hashes each byte as part of a block, and again as part of the output.
type copier struct {
	output       *os.File
	block, shard hash.Hash
	buffer       []byte
	sum          [sha256.Size]byte
}

func (c *copier) copy(p piece) (err error) {
	file, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()

	for p.length > 0 {
		n, err := c.read(file, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		p.offset, p.length = p.offset+n, p.length-n
	}

	c.block.Sum(c.sum[:0])
	c.block.Reset()
	return nil
}

// read fills the free part of the buffer, up to the end of the piece.
func (c *copier) read(file *os.File, p piece) (int64, error) {
	if len(c.buffer) == cap(c.buffer) {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}

	begin := len(c.buffer)
	end := begin + int(min(p.length, int64(cap(c.buffer)-begin)))
	data := c.buffer[begin:end]
	if _, err := file.ReadAt(data, p.offset); err != nil {
		return 0, err
	}

	c.buffer = c.buffer[:end]
	c.block.Write(data)
	return int64(len(data)), nil
}

func (c *copier) flush() error {
	c.shard.Write(c.buffer)
	_, err := c.output.Write(c.buffer)
	c.buffer = c.buffer[:0]
	return err
}
