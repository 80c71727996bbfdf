//go:build unix

package source

import (
	"os"

	"golang.org/x/sys/unix"
)

// A file or directory that was replaced by a pipe or a terminal must neither block nor be taken over. Symlinks are
// followed, as a source's root and a followed link may be one; the fingerprint of the open file tells a replaced
// one.
const (
	openFile      = os.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	openDirectory = os.O_RDONLY | unix.O_NONBLOCK | unix.O_DIRECTORY
)
