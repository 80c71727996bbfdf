//go:build linux || darwin

package source

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"
)

// heldFile makes a file with the content and opens it below a held directory.
func heldFile(t *testing.T, content []byte) (opened File, path string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "a")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}

	held, err := Hold(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = held.Close() })

	opened, err = held.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return opened, path
}

// TestAFileReadsAsThatOfPackageOS compares a file with what package os says of it.
func TestAFileReadsAsThatOfPackageOS(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 1000)
	opened, path := heldFile(t, content)
	defer opened.Close() //nolint:errcheck // it is only read

	if err := iotest.TestReader(io.NewSectionReader(opened, 0, int64(len(content))), content); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(opened); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes were read, want %d: %v", len(got), len(content), err)
	}

	theirs, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close() //nolint:errcheck // it is only read

	for _, at := range []struct {
		length int
		off    int64
	}{{10, 0}, {10, 9_995}, {10, 9_990}, {10, 10_000}, {10, 20_000}, {0, 0}, {0, 10_000}, {20_000, 1}, {1, -1}} {
		mine, reference := make([]byte, at.length), make([]byte, at.length)
		n, err := opened.ReadAt(mine, at.off)
		want, wantErr := theirs.ReadAt(reference, at.off)
		if n != want || !bytes.Equal(mine, reference) || (err == nil) != (wantErr == nil) ||
			errors.Is(err, io.EOF) != errors.Is(wantErr, io.EOF) {
			t.Errorf("%+v: %d, %v, want %d, %v", at, n, err, want, wantErr)
		}
	}

	mine, err := opened.Stat()
	reference, wantErr := theirs.Stat()
	if err != nil || wantErr != nil {
		t.Fatal(err, wantErr)
	}
	if !sameFile(mine, reference) || mine.Name() != reference.Name() || mine.Size() != reference.Size() ||
		mine.Mode() != reference.Mode() || !mine.ModTime().Equal(reference.ModTime()) {
		t.Errorf("%v, want %v", mine, reference)
	}
}

// TestAClosedFileIsNotAnother closes files while others read them. A reader gets the content or os.ErrClosed, never
// the content of a file that was opened since.
func TestAClosedFileIsNotAnother(t *testing.T) {
	content := bytes.Repeat([]byte{7}, 4096)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, bytes.Repeat([]byte{9}, 4096), 0o600); err != nil {
		t.Fatal(err)
	}

	for range 200 {
		opened, _ := heldFile(t, content)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				p := make([]byte, len(content))
				for {
					n, err := opened.ReadAt(p, 0)
					if errors.Is(err, os.ErrClosed) {
						return
					}
					if err != nil || !bytes.Equal(p[:n], content) {
						t.Errorf("%d bytes, first %d: %v", n, p[0], err)
						return
					}
				}
			})
		}

		if err := opened.Close(); err != nil {
			t.Error(err)
		}
		later, err := os.Open(other)
		if err != nil {
			t.Error(err)
		}
		readers.Wait()
		_ = later.Close() // it was only opened

		if err := opened.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed twice: %v", err)
		}
	}
}
