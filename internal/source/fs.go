// Package source reads a source. It declares the interface that the stages need of a file system, the patterns
// that exclude entries, and the walk that yields every entry in canonical order.
package source

import (
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// FS is the interface to a file system. Paths are those of the operating system. An FS is safe for concurrent
// use. errors.Is can compare the errors it returns with fs.ErrNotExist and fs.ErrPermission.
type FS interface {
	// Lstat describes the file at path. It does not follow a symlink.
	Lstat(path string) (fs.FileInfo, error)
	// Stat describes the file at path after following symlinks.
	Stat(path string) (fs.FileInfo, error)
	// Readlink returns the target of the symlink at path.
	Readlink(path string) (string, error)
	// ReadDir returns the entries of the directory at path, in any order.
	ReadDir(path string) ([]fs.DirEntry, error)
	// Open opens the file at path for reading after following symlinks. It never blocks on a pipe or a device.
	Open(path string) (File, error)
	// Present returns an error unless the source at root is still the one that the file system reads.
	Present(root string) error
}

// File is an open file. ReadAt is safe for concurrent use.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
	// Stat describes the open file, even if another file is at its path now.
	Stat() (fs.FileInfo, error)
}

// OSPath returns the path of the entry p of the source at root. Root is not cleaned, since that could change
// which symlinks it passes through.
func OSPath(root string, p sqlrepo.Path) string {
	if p == "" {
		return root
	}
	return joinOS(root, strings.ReplaceAll(string(p), "\x00", string(os.PathSeparator)))
}

// joinOS appends a separator and name to dir without cleaning the result.
func joinOS(dir, name string) string {
	if dir != "" && os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + name
	}
	return dir + string(os.PathSeparator) + name
}
