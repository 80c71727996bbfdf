package store

import (
	"context"
	"errors"
	"io"
	"os"
)

// Reading is a committed blob that is open for random access. It is safe for concurrent use until it is closed.
type Reading interface {
	// ReadAt reads like the ReadAt of io.ReaderAt.
	ReadAt(ctx context.Context, p []byte, off int64) (n int, err error)
	Close() error
}

// OpenAt opens a committed blob for random access. It returns fs.ErrNotExist if there is no blob of this name.
func (d *Directory) OpenAt(ctx context.Context, name string) (Reading, error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return nil, d.failure(err)
	}
	file, err := d.open(name)
	if err != nil {
		return nil, d.failure(err)
	}
	return directoryReading{d, file}, nil
}

type directoryReading struct {
	directory *Directory
	*os.File
}

func (r directoryReading) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, r.directory.failure(err)
	}
	n, err := r.File.ReadAt(p, off)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, r.directory.failure(err)
}
