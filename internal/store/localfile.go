package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/guppy-prep/guppy/internal/host/durable"
)

// localFile holds the bytes of a blob on this host for as long as they may be needed. The file has no name, so
// that nothing is left of it even if the process is killed.
type localFile struct {
	file *os.File
	size int64
	// broken is the error of a failed write.
	broken error
}

func newLocalFile(directory string) (*localFile, error) {
	if err := durable.MakeDirectory(directory, 0o700); err != nil {
		return nil, err
	}
	file, err := durable.CreateUnnamed(directory)
	if err != nil {
		return nil, err
	}
	return &localFile{file: file}, nil
}

func (f *localFile) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	f.size += int64(n)
	if err != nil {
		f.broken = err
		return n, fmt.Errorf("store: %w", barred(err))
	}
	return n, nil
}

func (f *localFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(p, off)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, fmt.Errorf("store: %w", err)
}

// Sync reports an earlier failure. It makes nothing durable, since the file is worth nothing without its process.
func (f *localFile) Sync(ctx context.Context) error {
	if err := errors.Join(ctx.Err(), f.broken); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (f *localFile) close() error {
	if err := f.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
