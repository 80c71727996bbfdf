//go:build linux || darwin

package source

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// file is an open file below a held directory. It does what an os.File does without asking the system for the flags
// of each file and whether the file can be polled. Of preparing many small files, these questions took 3 %. Reading a
// pipe or a device without data fails.
type file struct {
	path string
	fd   int

	mu sync.Mutex
	// users counts the calls under way. The last one closes fd if Close was called meanwhile: fd must not become
	// another file's while it is in use.
	users  int
	closed bool
}

// openFileAt opens the file at rest relative to an open directory. Errors name the whole path.
func openFileAt(dir int, rest, path string, flags int) (File, error) {
	fd, err := openFD(dir, rest, path, flags)
	if err != nil {
		return nil, err
	}
	return &file{path: path, fd: fd}, nil
}

// Read reads from the position that the last Read has reached.
func (f *file) Read(p []byte) (n int, err error) {
	err = f.use("read", func() (err error) {
		n, err = unix.Read(f.fd, p)
		return err
	})
	return f.received(n, len(p), err)
}

// ReadAt fills p, as io.ReaderAt demands, unless the file ends before.
func (f *file) ReadAt(p []byte, off int64) (total int, err error) {
	for total < len(p) {
		n := 0
		err := f.use("read", func() (err error) {
			n, err = unix.Pread(f.fd, p[total:], off+int64(total))
			return err
		})
		if n, err = f.received(n, len(p)-total, err); err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// received returns the result of a system call that was to read up to wanted bytes.
func (f *file) received(n, wanted int, err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case n == 0 && wanted > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Stat describes the open file.
func (f *file) Stat() (fs.FileInfo, error) {
	info := &fileInfo{name: filepath.Base(f.path)}
	if err := f.use("stat", func() error { return unix.Fstat(f.fd, &info.stat) }); err != nil {
		return nil, err
	}
	return info, nil
}

// use makes a system call that needs the file to stay open.
func (f *file) use(op string, call func() error) error {
	err := f.acquire()
	if err == nil {
		err = errors.Join(uninterrupted(call), f.release())
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: f.path, Err: err}
	}
	return nil
}

func (f *file) acquire() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	f.users++
	return nil
}

func (f *file) release() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users--
	return f.closeUnused()
}

// Close does not wait for calls that are under way, which may hang.
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()

	err := os.ErrClosed
	if !f.closed {
		f.closed = true
		err = f.closeUnused()
	}
	if err != nil {
		return &fs.PathError{Op: "close", Path: f.path, Err: err}
	}
	return nil
}

// closeUnused closes a file that is closed for its users and has none. Its caller holds mu.
func (f *file) closeUnused() error {
	if !f.closed || f.users > 0 {
		return nil
	}
	return unix.Close(f.fd)
}
