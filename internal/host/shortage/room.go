package shortage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/guppy-prep/guppy/internal/progress"
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

// fullError is an error of a full file system, with the free space there at that moment.
type fullError struct {
	error
	bytes int64
}

func (e *fullError) Unwrap() error { return e.error }

// Noted returns an error of a full file system with the free space there. It is called where the error occurs, because
// there is more free space once the file that did not fit is removed. Other errors stay as they are.
func Noted(err error) error {
	var noted *fullError
	place := Place(err)
	if !Full(err) || place == "" || errors.As(err, &noted) {
		return err
	}
	for { // the path may not exist yet
		if bytes, known := FreeBytes(place); known {
			return &fullError{err, bytes}
		}
		parent := filepath.Dir(place)
		if parent == place {
			return err
		}
		place = parent
	}
}

// Explain says on which file system there was no room for what an error is about, how much space it had then, if the
// error was Noted, and how much it has now. It returns "" for other errors, and for those without a path.
func Explain(err error) string {
	if !Full(err) || Place(err) == "" {
		return ""
	}
	text := Room(Place(err))
	if noted := (*fullError)(nil); errors.As(err, &noted) {
		text = strings.Replace(text, "had no room", "had no room: "+progress.Bytes(noted.bytes)+" were free", 1)
	}
	return text
}

// Room says that there was no room on the file system of a path, and how much space it has now, if that is known.
func Room(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	for { // the path may not exist yet
		if free, found := free(path); found {
			return "the file system of " + path + " had no room" + free
		}

		parent := filepath.Dir(path)
		if parent == path {
			return "the file system of " + path + " had no room"
		}
		path = parent
	}
}

// freeNow describes the free space of a file system after the files that did not fit were removed. A file system
// without a fixed number of files reports 0 of 0.
func freeNow(bytes int64, files, allFiles uint64) string {
	text := fmt.Sprintf("; without what did not fit, it has %s free", progress.Bytes(bytes))
	if allFiles > 0 {
		text += fmt.Sprintf(", and room for %d more files", files)
	}
	return text + " (a quota may leave less)"
}
