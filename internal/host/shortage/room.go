package shortage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Full reports whether err says that a file system takes no more, or that a quota on it is used up.
func Full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Place returns the path that an error of the operating system is about, "" if it names none.
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

// Room says which file system a path is on, and what is free there, as far as that can be told.
func Room(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	for { // what is full may not have been made yet
		if room, found := room(path); found {
			return room
		}
		parent := filepath.Dir(path)
		if parent == path {
			return "what is free on the file system of " + path + " can't be told"
		}
		path = parent
	}
}

// free puts numbers into words. A file system without a fixed number of files says 0 of 0.
func free(path string, bytes, files, allFiles uint64) string {
	text := fmt.Sprintf("the file system of %s has %d bytes free", path, bytes)
	if allFiles > 0 {
		text += fmt.Sprintf(", and room for %d more files", files)
	}
	return text + " (a quota may leave less)"
}
