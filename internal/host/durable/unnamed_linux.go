package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openUnnamed makes a file without a name. It returns errors.ErrUnsupported if the file system or the kernel does
// not support that.
func openUnnamed(directory string) (*os.File, error) {
	file, err := os.OpenFile(directory, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return file, err
}
