package textfile_test

import (
	"errors"
	"testing"

	"github.com/guppy-prep/guppy/internal/formats/textfile"
)

func TestDecode(t *testing.T) {
	for data, want := range map[string]string{
		"":                          "",
		"a\r\nb":                    "a\r\nb",
		"\xef\xbb\xbfé":             "é",
		"\xff\xfea\x00\xe9\x00":     "aé",
		"\xfe\xff\x00a\x00\xe9":     "aé",
		"\xff\xfe\x3d\xd8\x00\xde":  "😀",
		"\xff\xfe":                  "",
		"\xff\xfea\x00b":            "a\uFFFD",
		"\xffa":                     "\xffa",
		"caf\xe9":                   "caf\xe9",
		"\xef\xbb\xbf\xef\xbb\xbfa": "\ufeffa",
	} {
		if got, err := textfile.Decode([]byte(data)); err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v, want %q", data, got, err, want)
		}
	}
}

func TestDecodeRefusesNUL(t *testing.T) {
	for data, want := range map[string]int{
		"\x00": 1, "a\nb\n\x00": 3, "a\x00\n\x00": 1, "\xff\xfe\x00\x00a\x00\x00\x00": 1, "\xff\xfe\n\x00\x00\x00": 2,
	} {
		_, err := textfile.Decode([]byte(data))

		var nul *textfile.NULError
		if !errors.As(err, &nul) || nul.Line != want {
			t.Errorf("%q: got %v, want line %d", data, err, want)
		}
	}
}
