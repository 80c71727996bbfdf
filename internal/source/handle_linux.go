package source

import "golang.org/x/sys/unix"

// A handle needs no permission to read the directory: files below the directory may be readable by name.
const openHandle = unix.O_PATH | unix.O_DIRECTORY
