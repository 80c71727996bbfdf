//go:build linux || darwin

package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The functions below do what their namesakes in package os do, but relative to an open directory. Errors name
// the whole path.

func lstatAt(dir int, rest, path string) (fs.FileInfo, error) {
	return describeAt("lstat", dir, rest, path, unix.AT_SYMLINK_NOFOLLOW)
}

func statAt(dir int, rest, path string) (fs.FileInfo, error) {
	return describeAt("stat", dir, rest, path, 0)
}

func describeAt(op string, dir int, rest, path string, flags int) (fs.FileInfo, error) {
	info := &fileInfo{name: filepath.Base(path)}
	err := uninterrupted(func() error { return unix.Fstatat(dir, rest, &info.stat, flags) })
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: path, Err: err}
	}
	return info, nil
}

func readlinkAt(dir int, rest, path string) (string, error) {
	// A result that fills the buffer may be cut off: try a larger one.
	for size := 256; ; size *= 2 {
		target, n := make([]byte, size), 0
		err := uninterrupted(func() (err error) {
			n, err = unix.Readlinkat(dir, rest, target)
			return err
		})
		if err != nil {
			return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
		}

		if n < size {
			return string(target[:n]), nil
		}
	}
}

func openAt(dir int, rest, path string, flags int) (*os.File, error) {
	fd, err := openFD(dir, rest, path, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func openFD(dir int, rest, path string, flags int) (fd int, err error) {
	err = uninterrupted(func() (err error) {
		fd, err = unix.Openat(dir, rest, flags|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// uninterrupted repeats call for as long as a signal interrupts it, as package os does.
func uninterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// fileInfo is an fs.FileInfo like those of package os, which cannot make one from a handle and a relative path.
type fileInfo struct {
	name string
	stat unix.Stat_t
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.stat.Size }
func (i *fileInfo) IsDir() bool        { return i.Mode().IsDir() }
func (i *fileInfo) ModTime() time.Time { return time.Unix(i.stat.Mtim.Unix()) }

// Sys returns a *syscall.Stat_t, as package os does. The packages syscall and unix declare the same structure.
func (i *fileInfo) Sys() any { return (*syscall.Stat_t)(unsafe.Pointer(&i.stat)) }

func (i *fileInfo) Mode() fs.FileMode {
	mode := fs.FileMode(i.stat.Mode & 0o777)
	switch i.stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFREG:
	default:
		mode |= fs.ModeIrregular
	}

	// The special bits, which fs.FileMode keeps in other places than st_mode.
	if i.stat.Mode&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if i.stat.Mode&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if i.stat.Mode&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}

	return mode
}

func keyOfFile(info fs.FileInfo) fileKey {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileKey{uint64(stat.Dev), stat.Ino} //nolint:gosec,unconvert // kept as it is
	}
	return fileKey{}
}

// sameFile reports whether a and b describe the same file.
func sameFile(a, b fs.FileInfo) bool {
	if key := keyOfFile(a); key != (fileKey{}) {
		return key == keyOfFile(b)
	}
	return os.SameFile(a, b)
}
