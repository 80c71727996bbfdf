//go:build linux

package storm_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// envInside is set in a process with its own mounts.
const envInside = "GUPPY_TEST_STORM_INSIDE"

func TestMain(m *testing.M) {
	if os.Getenv(envInside) == "" {
		os.Exit(runInside())
	}
	pgtest.Main(m)
}

// runInside runs the tests again in a mount namespace, and also in a user namespace unless they run as root. The
// namespaces end with the tests, and the mounts with the namespaces.
func runInside() int {
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), envInside+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		command.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		command.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}

	runtime.LockOSThread() // the death of this thread ends the others
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintf(os.Stderr, "storms mount file systems, which takes root or user namespaces: %v\n", err)
		return 1
	}
	return command.ProcessState.ExitCode()
}
