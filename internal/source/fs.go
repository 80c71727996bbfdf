// Package source reads a source: what the stages need of a file system, the patterns that leave things out, and
// the walk that finds every entry in canonical order.
package source

import (
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// FS is what is needed of a file system. Paths are those of the operating system. Its methods may be called from
// many goroutines at once and return errors that errors.Is can compare with fs.ErrNotExist and fs.ErrPermission.
type FS interface {
	// Lstat describes what is at path, a symlink itself rather than what it leads to.
	Lstat(path string) (fs.FileInfo, error)
	// Stat describes what is at path after following symlinks.
	Stat(path string) (fs.FileInfo, error)
	// Readlink returns what the symlink at path holds.
	Readlink(path string) (string, error)
	// ReadDir returns what the directory at path holds, in any order.
	ReadDir(path string) ([]fs.DirEntry, error)
	// Open opens what is at path for reading, after following symlinks, and never blocks on a pipe or a device.
	Open(path string) (File, error)
	// Present returns an error unless what is at root, the path of a source, is still what the file system reads there.
	Present(root string) error
}

// File is an open file. ReadAt may be called from many goroutines at once.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
	// Stat describes the open file, whatever is at its path by now.
	Stat() (fs.FileInfo, error)
}

// OSPath is where the entry p of the source at root lies. Root is taken as it is, since cleaning it could change
// which symlinks it passes through.
func OSPath(root string, p sqlrepo.Path) string {
	if p == "" {
		return root
	}
	return joinOS(root, strings.ReplaceAll(string(p), "\x00", string(os.PathSeparator)))
}

func joinOS(dir, name string) string {
	if dir != "" && os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + name
	}
	return dir + string(os.PathSeparator) + name
}
