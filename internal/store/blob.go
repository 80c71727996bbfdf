package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/guppy-prep/guppy/internal/host/durable"
)

// directoryBlob is a file under a temporary name, or under its final name once it is renamed.
type directoryBlob struct {
	store *Directory
	// held is the directory in which the file was made. The file gets its final name there and nowhere else.
	held *os.Root
	file *os.File
	// name is the present name of the file.
	name     string
	unsynced bool
	// broken is the error of a failed write or sync. A later sync would not report what was lost.
	broken error
	// closed describes the file as it was when it was closed. It is nil until then.
	closed fs.FileInfo
	// final is the name of the file once it is renamed. durable is true once the new name is durable too.
	final   string
	durable bool
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
		again, err := b.held.Open(b.name)
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

// Commit syncs the file before renaming it, and the directory afterwards. It returns ErrAbsent if the directory no
// longer is where the store is.
func (b *directoryBlob) Commit(ctx context.Context, name string) error {
	if b.final != "" && b.final != name {
		return b.failure(againAs(b.final, name))
	}

	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return b.failure(err)
	}

	// An earlier Commit may have renamed the file without syncing the directory.
	if err := b.rename(name); err != nil {
		return b.failure(err)
	}

	if b.durable {
		return nil
	}

	if err := durable.SyncRoot(b.held); err != nil {
		return b.failure(err)
	}

	if err := b.store.present(b.held); err != nil {
		return b.failure(err)
	}

	b.durable = true
	return nil
}

// rename syncs and closes the file and gives it its final name. If the file has that name already, rename checks
// that nobody has removed it.
func (b *directoryBlob) rename(final string) error {
	if b.final != "" {
		_, err := b.held.Lstat(final)
		return err
	}

	if err := errors.Join(b.sync(), b.close()); err != nil {
		return err
	}

	if err := b.held.Rename(b.name, final); err != nil && !b.isAt(final, err) {
		return err
	}

	b.name, b.final = final, final
	return nil
}

// isAt reports whether the file was renamed although the rename failed. A file server may answer a repeated
// request that way.
func (b *directoryBlob) isAt(name string, failure error) bool {
	info, err := b.held.Stat(name)
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
	err := b.file.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}

	if b.final == "" {
		err = errors.Join(err, b.remove())
	}
	if err == nil {
		err = b.held.Close()
	}

	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// remove removes the file. It is not an error if the file is gone, or the blob aborted already.
func (b *directoryBlob) remove() error {
	err := b.held.Remove(b.name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// failure adds fs.ErrNotExist to an error if the file is gone. The error that results from its removal may be any
// other, above all on a file server.
func (b *directoryBlob) failure(err error) error {
	if _, statErr := b.held.Lstat(b.name); errors.Is(statErr, fs.ErrNotExist) && !errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", err, statErr)
	}
	return fmt.Errorf("store: %w", barred(err))
}
