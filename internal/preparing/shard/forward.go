package shard

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrDamaged is returned when the store does not give back what was written to it.
var ErrDamaged = errors.New("the store changed the bytes of a shard")

// forward reads blocks of a shard in order and in large pieces, and leaves out only gaps that are longer than those.
type forward struct {
	from   io.ReaderAt
	end    int64
	buffer *bufio.Reader
	// at is where the buffer begins, or -1.
	at int64
}

// readBlock returns ErrDamaged when the block is not what it was when it was written.
func (f *forward) readBlock(node sqlrepo.Node, block []byte) error {
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
		return fmt.Errorf("%w: the block at offset %d is another", ErrDamaged, position)
	}
	f.at = position + int64(len(block))
	return nil
}

func (f *forward) seek(position int64) error {
	if gap := position - f.at; f.at >= 0 && gap <= bufferSize {
		_, err := f.buffer.Discard(int(gap))
		return err
	}
	f.buffer.Reset(io.NewSectionReader(f.from, position, f.end-position))
	return nil
}
