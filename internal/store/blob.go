package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/guppy-prep/guppy/internal/host/durable"
)

// directoryBlob is a file under a temporary name, or under its final name once it is renamed.
type directoryBlob struct {
	directory string
	file      *os.File
	unsynced  bool
	// broken is the error of a failed write or sync. A later sync would not report what was lost.
	broken error
	// closed describes the file as it was when it was closed. It is nil until then.
	closed fs.FileInfo
	// final is the path of the file once it is renamed. location is the URL once the new name is durable too.
	final, location string
}

func (b *directoryBlob) Write(p []byte) (int, error) {
	n, err := b.file.Write(p)
	b.unsynced = true
	if err != nil {
		b.broken = err
		return n, b.failure(err)
	}
	return n, nil
}

// ReadAt reads what was written. It opens a closed file again, which is rare.
func (b *directoryBlob) ReadAt(p []byte, off int64) (int, error) {
	file := b.file
	if b.closed != nil {
		again, err := os.Open(b.path())
		if err != nil {
			return 0, b.failure(err)
		}
		defer func() { _ = again.Close() }() // it was only read
		file = again
	}

	n, err := file.ReadAt(p, off)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, b.failure(err)
}

// path returns the present path of the file.
func (b *directoryBlob) path() string {
	if b.final != "" {
		return b.final
	}
	return b.file.Name()
}

func (b *directoryBlob) Sync(ctx context.Context) error {
	if err := errors.Join(ctx.Err(), b.sync()); err != nil {
		return b.failure(err)
	}
	return nil
}

func (b *directoryBlob) sync() error {
	if b.broken == nil && b.unsynced {
		b.broken = b.file.Sync()
		b.unsynced = b.broken != nil
	}
	return b.broken
}

// Stage does nothing but check the name: the file is already in the directory where it gets its name.
func (b *directoryBlob) Stage(ctx context.Context, name string, _ func(n int64)) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return b.failure(err)
	}
	return nil
}

// Commit syncs the file before renaming it, and the directory afterwards.
func (b *directoryBlob) Commit(ctx context.Context, name string) (string, error) {
	final := filepath.Join(b.directory, name)
	if b.final != "" && b.final != final {
		return "", b.failure(againAs(b.final, name))
	}

	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return "", b.failure(err)
	}

	// An earlier Commit may have renamed the file without syncing the directory.
	if err := b.rename(final); err != nil {
		return "", b.failure(err)
	}

	if b.location != "" {
		return b.location, nil
	}

	if err := durable.SyncDirectory(b.directory); err != nil {
		return "", b.failure(err)
	}

	b.location = location(final)
	return b.location, nil
}

// rename syncs and closes the file and gives it its final name. If the file has that name already, rename checks
// that nobody has removed it.
func (b *directoryBlob) rename(final string) error {
	if b.final != "" {
		_, err := os.Lstat(final)
		return err
	}

	if err := errors.Join(b.sync(), b.close()); err != nil {
		return err
	}

	if err := os.Rename(b.file.Name(), final); err != nil && !b.isAt(final, err) {
		return err
	}

	b.final = final
	return nil
}

// isAt reports whether the file was renamed although the rename failed. A file server may answer a repeated
// request that way.
func (b *directoryBlob) isAt(path string, failure error) bool {
	info, err := os.Stat(path)
	return errors.Is(failure, fs.ErrNotExist) && err == nil && os.SameFile(info, b.closed)
}

// close closes the file and records its description for isAt.
func (b *directoryBlob) close() error {
	if b.closed != nil {
		return nil
	}

	info, err := b.file.Stat()
	if err != nil {
		return err
	}

	if err := b.file.Close(); err != nil {
		b.broken = err
		return err
	}

	b.closed = info
	return nil
}

// Abort removes the temporary file. A committed blob stays.
func (b *directoryBlob) Abort() error {
	if b.final != "" {
		return nil
	}

	err := b.file.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}

	if err := errors.Join(err, removeIfThere(b.file.Name())); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// failure adds fs.ErrNotExist to an error if the file is gone. The error that results from its removal may be any
// other, above all on a file server.
func (b *directoryBlob) failure(err error) error {
	if _, statErr := os.Lstat(b.path()); errors.Is(statErr, fs.ErrNotExist) && !errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", err, statErr)
	}
	return fmt.Errorf("store: %w", barred(err))
}
