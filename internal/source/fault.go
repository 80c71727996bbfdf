package source

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/guppy-prep/guppy/internal/host/shortage"
)

// ErrGone is returned when the source itself can't be looked at any more, or something else is in its place: what
// happens to its entries then says nothing about them.
var ErrGone = errors.New("the source is gone")

// Exhausted tells whether err is a shortage of this process or its machine: of open files or of memory.
func Exhausted(err error) bool {
	return shortage.Exhausted(err)
}

// Fatal returns nil when err, met at an entry of the source at root, says something about that entry. Else it returns
// why the whole source can't be read: an error that is Exhausted, or ErrGone. It looks whether the source is present.
func Fatal(fsys FS, root string, err error) error {
	switch {
	case Exhausted(err):
		return fmt.Errorf("out of resources: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return nil
	}
	return Present(fsys, root)
}

// Present returns ErrGone unless the source at root is still the one that fsys reads. What an entry, or the lack of
// one, says about the source is to be believed only then.
func Present(fsys FS, root string) error {
	if lost := fsys.Present(root); lost != nil {
		return fmt.Errorf("%w: %w", ErrGone, lost)
	}
	return nil
}

// fatal tells whether err came from Fatal.
func fatal(err error) bool { return errors.Is(err, ErrGone) || Exhausted(err) }

// gone tells whether err means that there is nothing at a path. A parent that is a directory no longer says so too.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Reason is what went wrong, without the operation and path that an entry tells already, as text that any database
// takes.
func Reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return strings.ReplaceAll(strings.ToValidUTF8(err.Error(), "\uFFFD"), "\x00", "\uFFFD")
}
