package source

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/guppy-prep/guppy/internal/host/shortage"
)

// ErrGone is returned when the source cannot be reached any longer or something else is in its place. Errors at
// its entries then say nothing about the entries.
var ErrGone = errors.New("the source is gone")

// ErrAbsent is returned for a source that is not to be found on this host.
var ErrAbsent = errors.New("source not found")

// Exhausted reports whether err is a shortage of open files or memory in this process or on its machine.
func Exhausted(err error) bool {
	return shortage.Exhausted(err)
}

// Fatal returns nil if err, met at an entry of the source at root, concerns that entry only. Otherwise it returns
// why the whole source cannot be read: ErrGone, or an error for which Exhausted returns true. Fatal checks that
// the source is present.
func Fatal(fsys FS, root string, err error) error {
	switch {
	case Exhausted(err):
		return fmt.Errorf("out of resources: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return nil
	}
	return Present(fsys, root)
}

// Present returns ErrGone unless fsys still reads the source at root. Only then does the state of an entry, or
// its absence, say anything about the source.
func Present(fsys FS, root string) error {
	if err := fsys.Present(root); err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return nil
}

// fatal reports whether err came from Fatal.
func fatal(err error) bool { return errors.Is(err, ErrGone) || Exhausted(err) }

// gone reports whether err means that nothing is at a path. That includes a parent that is no longer a directory.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Reason returns the text of err without the operation and the path, which the entry has already. Any database
// can store the text: it is valid UTF-8 without NUL bytes.
func Reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return strings.ReplaceAll(strings.ToValidUTF8(err.Error(), "\uFFFD"), "\x00", "\uFFFD")
}
