// Package textfile reads text files that people wrote, whatever editor they used.
package textfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// NULError is returned by Decode for a file that is not text, or is text in an encoding that nothing marks.
type NULError struct {
	// Line is where the first NUL byte is.
	Line int
}

func (e *NULError) Error() string {
	return fmt.Sprintf("line %d contains a NUL byte: the file must be text, saved as UTF-8", e.Line)
}

// Decode returns the content of a text file without a byte order mark. It converts UTF-16 with a byte order mark, which
// some programs of Windows write, to UTF-8, and leaves all other bytes as they are. It returns a *NULError for a file
// with a NUL byte, such as one in UTF-16 without the mark.
func Decode(data []byte) ([]byte, error) {
	var order binary.ByteOrder

	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	}

	if order != nil {
		data = fromUTF16(data[2:], order)
	}

	if at := bytes.IndexByte(data, 0); at >= 0 {
		return nil, &NULError{1 + bytes.Count(data[:at], []byte{'\n'})}
	}
	return data, nil
}

// fromUTF16 replaces what is not valid, such as half a character at the end, by U+FFFD.
func fromUTF16(data []byte, order binary.ByteOrder) []byte {
	var units []uint16
	for ; len(data) >= 2; data = data[2:] {
		units = append(units, order.Uint16(data))
	}

	text := []byte(string(utf16.Decode(units)))
	if len(data) > 0 {
		text = append(text, "\uFFFD"...)
	}
	return text
}
