//go:build unix

package display

import (
	"os"
	"syscall"
)

// continued are the signals that a process gets when it goes on after it was stopped.
var continued = []os.Signal{syscall.SIGCONT}
