//go:build unix

package source

import (
	"os"

	"golang.org/x/sys/unix"
)

// Opening must not block on a pipe, nor make a terminal the controlling one, if either has replaced a file or
// directory. Symlinks are followed, since a source's root or a followed link may be one; the fingerprint of the
// open file reveals a replacement.
const (
	openFile      = os.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	openDirectory = os.O_RDONLY | unix.O_NONBLOCK | unix.O_DIRECTORY
)
