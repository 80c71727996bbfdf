//go:build !linux && !darwin

package source

import (
	"io/fs"
	"os"
)

// These systems read nothing relative to an open directory: the functions use the whole path.

func lstatAt(_ int, _, path string) (fs.FileInfo, error) { return os.Lstat(path) }

func statAt(_ int, _, path string) (fs.FileInfo, error) { return os.Stat(path) }

func readlinkAt(_ int, _, path string) (string, error) { return os.Readlink(path) }

func openAt(_ int, _, path string, flags int) (*os.File, error) { return os.OpenFile(path, flags, 0) }

func openFileAt(dir int, rest, path string, flags int) (File, error) {
	return openAt(dir, rest, path, flags)
}

func sameFile(a, b fs.FileInfo) bool { return os.SameFile(a, b) }

func keyOfFile(fs.FileInfo) fileKey { return fileKey{} }
