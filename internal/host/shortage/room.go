package shortage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Full reports whether err says that a file system is full or that a quota on it is used up.
func Full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Place returns the path in an error of the operating system, or "" if the error has none.
func Place(err error) string {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Path
	case errors.As(err, &link):
		return link.New
	}
	return ""
}

// Room describes the file system of a path and the free space on it, if that is known.
func Room(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	for { // the path may not exist yet
		if room, found := room(path); found {
			return room
		}

		parent := filepath.Dir(path)
		if parent == path {
			return "the free space on the file system of " + path + " is unknown"
		}
		path = parent
	}
}

// free describes the free space of a file system. A file system without a fixed number of files reports 0 of 0.
func free(path string, bytes, files, allFiles uint64) string {
	text := fmt.Sprintf("the file system of %s has %d bytes free", path, bytes)
	if allFiles > 0 {
		text += fmt.Sprintf(", and room for %d more files", files)
	}
	return text + " (a quota may leave less)"
}
