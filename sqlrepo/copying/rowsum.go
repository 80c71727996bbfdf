package copying

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// rowSum is the sum, modulo 2^256, of the SHA-256 digests of rows. It is the same for the same rows, in whatever
// order an engine returns them.
type rowSum struct {
	rows   int64
	words  [sha256.Size / 8]uint64
	buffer []byte
}

// add adds a row, with its columns as a driver returns them.
func (s *rowSum) add(row []any) (err error) {
	s.buffer = s.buffer[:0]
	for _, value := range row {
		if s.buffer, err = appendColumn(s.buffer, value); err != nil {
			return err
		}
	}

	digest, carry := sha256.Sum256(s.buffer), uint64(0)
	for i := range s.words {
		s.words[i], carry = bits.Add64(s.words[i], binary.LittleEndian.Uint64(digest[8*i:]), carry)
	}
	s.rows++
	return nil
}

// appendColumn puts the kind of a column before its value, and the length if that varies: no two rows look alike.
func appendColumn(to []byte, column any) ([]byte, error) {
	switch value := column.(type) {
	case nil:
		return append(to, 'n'), nil
	case int64:
		return binary.BigEndian.AppendUint64(append(to, 'i'), uint64(value)), nil
	case string:
		return append(binary.BigEndian.AppendUint64(append(to, 't'), uint64(len(value))), value...), nil
	case []byte:
		return append(binary.BigEndian.AppendUint64(append(to, 'b'), uint64(len(value))), value...), nil
	}
	return nil, fmt.Errorf("a column of type %T where a number, a text or bytes were expected", column)
}

func (s *rowSum) String() string {
	var sum []byte
	for _, word := range s.words {
		sum = binary.LittleEndian.AppendUint64(sum, word)
	}
	return hex.EncodeToString(sum)
}

func (s *rowSum) of(t schema.Table) TableContent { return TableContent{t.Name, s.rows, s.String()} }
