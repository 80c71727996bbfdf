//go:build unix

package display

import (
	"os"
	"syscall"
)

var (
	// stopping are the signals that ask a process to stop until it is continued, as Ctrl-Z does.
	stopping = []os.Signal{syscall.SIGTSTP}
	// continued are the signals that a process gets when it goes on after it was stopped.
	continued = []os.Signal{syscall.SIGCONT}
)

// stopProcess stops the process, unless nobody could continue it. A signal that Go has once caught does not stop a
// process any more, so this is another one with the same effect.
func stopProcess() error { return syscall.Kill(os.Getpid(), syscall.SIGTTOU) }
