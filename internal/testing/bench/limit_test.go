package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPiecesCoverAFileInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(
			rapid.Int64Range(0, 10*pieceSize),
			rapid.Map(rapid.Int64Range(0, 5), func(n int64) int64 { return n * pieceSize }),
		).Draw(t, "size")

		next := int64(0)
		for _, p := range appendPieces(nil, "file", size) {
			if p.path != "file" || p.offset != next || p.length > pieceSize || p.length == 0 && size > 0 {
				t.Fatalf("piece %+v, want it to begin at %d", p, next)
			}
			next += p.length
		}

		if next != size {
			t.Fatalf("pieces cover %d of %d bytes", next, size)
		}
	})
}

// TestLimitWritesEveryByteOnce has files of one letter each. The count of a letter gives the bytes of its file.
func TestLimitWritesEveryByteOnce(t *testing.T) {
	source, output := t.TempDir(), t.TempDir()
	sizes := []int{0, 1, limitBuffer - 1, limitBuffer, limitBuffer + 1, 5000, pieceSize + 3}
	for i, size := range sizes {
		content := strings.NewReader(strings.Repeat(string(rune('a'+i)), size))
		if err := writeFile(filepath.Join(source, "directory", string(rune('a'+i))), content); err != nil {
			t.Fatal(err)
		}
	}

	if err := run(t.Context(), []string{limitCommand, source, output}, os.Stdout, os.Stderr); err != nil {
		t.Fatal(err)
	}

	outputs := readTree(t, output)
	if len(outputs) != limitReaders {
		t.Errorf("%d outputs", len(outputs))
	}

	var all strings.Builder
	for _, content := range outputs {
		all.WriteString(content)
	}

	for i, size := range sizes {
		if got := strings.Count(all.String(), string(rune('a'+i))); got != size {
			t.Errorf("%d bytes of a file of %d", got, size)
		}
	}
}

func TestLimitFails(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	tests := map[string]struct {
		ctx  context.Context
		args []string
		want error
	}{
		"usage":     {t.Context(), []string{source}, errUsage},
		"no source": {t.Context(), []string{filepath.Join(source, "absent"), t.TempDir()}, os.ErrNotExist},
		"no output": {t.Context(), []string{source, filepath.Join(source, "absent")}, os.ErrNotExist},
		"cancelled": {cancelled, []string{source, t.TempDir()}, context.Canceled},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := runLimit(test.ctx, test.args); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}
