package shard

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrDamaged is returned when the store does not return the bytes that were written to it.
var ErrDamaged = errors.New("the store changed the bytes of a shard")

// blockReader reads blocks of a shard in order and in large pieces. It skips only gaps that are longer than a piece.
type blockReader struct {
	from   io.ReaderAt
	end    int64
	buffer *bufio.Reader
	// at is the position in the shard of the buffer's next byte, or -1.
	at int64
}

// readBlock reads a block. It returns ErrDamaged if the block is not what was written.
func (f *blockReader) readBlock(node sqlrepo.Node, block []byte) error {
	position := int64(node.Position)
	err := f.seek(position)
	if err == nil {
		_, err = io.ReadFull(f.buffer, block)
	}

	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends before the block at offset %d does", ErrDamaged, position)
	case err != nil:
		return fmt.Errorf("read the shard again: %w", err)
	case sha256.Sum256(block) != node.Digest:
		return fmt.Errorf("%w: the block at offset %d differs", ErrDamaged, position)
	}

	f.at = position + int64(len(block))
	return nil
}

// seek moves to a position that is not before the present one.
func (f *blockReader) seek(position int64) error {
	if gap := position - f.at; f.at >= 0 && gap <= bufferSize {
		_, err := f.buffer.Discard(int(gap))
		return err
	}
	f.buffer.Reset(io.NewSectionReader(f.from, position, f.end-position))
	return nil
}
