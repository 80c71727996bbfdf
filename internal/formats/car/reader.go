package car

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

var (
	// ErrFormat is returned for bytes that are not a shard in the form that this package writes.
	ErrFormat = errors.New("malformed CAR")
	// ErrDigest is returned for a block whose data does not hash to its CID.
	ErrDigest = errors.New("block does not match its CID")
)

// MaxDataSize bounds the data of one block that a Reader accepts, and so the memory that a Reader needs. It is 8
// MiB, as much as common CAR readers accept, and far above the largest block of a shard.
const MaxDataSize = 8 << 20

// lengthBytes bounds the encoding of a section's length.
const lengthBytes = 4

// Section is one block of a shard.
type Section struct {
	CID    cid.Cid
	Offset int64  // of the data, from the start of the shard
	Data   []byte // valid until the next section is read
}

// Reader reads and checks the sections of a shard. It accepts only the form of CAR v1 that this package writes.
type Reader struct {
	r      *bufio.Reader
	offset int64
	buf    []byte
	err    error
}

// NewReader returns a reader of the shard in r. It may read ahead in r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10)}
}

// Next returns the next section, or io.EOF after the last one. It returns ErrFormat or ErrDigest if the bytes are
// not a valid shard, io.ErrUnexpectedEOF if the shard is cut short inside the header or a section, and errors of
// the underlying reader. Every later call returns the same error.
func (r *Reader) Next() (Section, error) {
	if r.err == nil && r.offset == 0 {
		r.err = r.header()
	}

	if r.err != nil {
		return Section{}, r.err
	}

	start := r.offset
	s, err := r.section()
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("section at offset %d: %w", start, err)
	}

	r.err = err
	return s, err
}

func (r *Reader) header() error {
	b, err := r.read(len(Header))
	if err != nil {
		return fmt.Errorf("CAR header: %w", err)
	}
	if string(b) != Header {
		return fmt.Errorf("%w: the header is not that of version 1 with an empty list of roots", ErrFormat)
	}
	return nil
}

func (r *Reader) section() (Section, error) {
	length, err := r.length()
	if err != nil {
		return Section{}, err
	}

	if length < CIDSize || length > CIDSize+MaxDataSize {
		return Section{}, fmt.Errorf("%w: a section of %d bytes", ErrFormat, length)
	}

	offset := r.offset + CIDSize
	body, err := r.read(length)
	if err != nil {
		return Section{}, err
	}
	return checkSection(body, offset)
}

// checkSection checks a section without its length.
func checkSection(body []byte, offset int64) (Section, error) {
	c, data := body[:CIDSize], body[CIDSize:]
	if c[0] != 1 || c[1] >= 0x80 || c[2] != multihash.SHA2_256 || c[3] != sha256.Size {
		return Section{}, fmt.Errorf("%w: CID %x is not a CIDv1 with sha2-256 and a short codec", ErrFormat, c)
	}

	id := cid.NewCidV1(uint64(c[1]), slices.Clone(c[2:]))
	if sha256.Sum256(data) != [sha256.Size]byte(c[4:]) {
		return Section{}, fmt.Errorf("%w: %s", ErrDigest, id)
	}

	return Section{CID: id, Offset: offset, Data: data}, nil
}

// length reads the length of a section, or returns io.EOF. The length must be in its shortest encoding.
func (r *Reader) length() (int, error) {
	length := 0
	for i := range lengthBytes {
		b, err := r.r.ReadByte()
		if errors.Is(err, io.EOF) && i > 0 {
			// The file may end before a section, but not within the section's length.
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}

		r.offset++
		length |= int(b&0x7f) << (7 * i)

		// A zero byte at the end adds nothing to the number.
		switch {
		case b == 0 && i > 0:
			return 0, fmt.Errorf("%w: the length is not in its shortest form", ErrFormat)
		case b < 0x80:
			return length, nil
		}
	}
	return 0, fmt.Errorf("%w: the length takes more than %d bytes", ErrFormat, lengthBytes)
}

// read returns the next n bytes.
func (r *Reader) read(n int) ([]byte, error) {
	r.buf = slices.Grow(r.buf[:0], n)[:n]
	done, err := io.ReadFull(r.r, r.buf)
	r.offset += int64(done)
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	return r.buf, err
}
