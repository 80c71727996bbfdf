package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this program by its name, as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"guppy": comparingMain, "unprivileged": unprivileged, "member": asMember})
}

// quickExit keeps programs with the race detector from sleeping for a second before they exit.
const quickExit = "GORACE=atexit_sleep_ms=20"

type suite struct{ *testing.M }

// programs is a directory that exists for as long as tests run.
var programs string

// Run opens the directory of the scripts' programs to the user that unprivileged becomes.
func (s suite) Run() int {
	program, err := exec.LookPath("unprivileged")
	if err != nil {
		fmt.Fprintln(os.Stderr, "the programs of scripts:", err)
		return 1
	}

	for _, path := range []string{filepath.Dir(filepath.Dir(program)), filepath.Dir(program)} {
		if err := os.Chmod(path, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, "the programs of scripts:", err)
			return 1
		}
	}

	if programs, err = os.MkdirTemp("", "guppy-programs-"); err != nil {
		fmt.Fprintln(os.Stderr, "the built program:", err)
		return 1
	}

	defer os.RemoveAll(programs) //nolint:errcheck // it is a temporary directory
	return s.M.Run()
}

// nobody is a user to whom permissions apply.
const nobody = 65534

// unprivileged replaces itself with the program that its arguments name. Root may read and write everything, so
// root first becomes another user.
func unprivileged() {
	becomeAndRun(nobody, nobody, os.Args[1:])
}

// sharing is the group of the users that asMember becomes. Member N has the user number sharing+N.
const sharing = 65100

// asMember replaces itself with a program: member N UMASK PROGRAM ARGUMENT... Root first becomes the N-th user of
// a group.
func asMember() {
	number, err := strconv.Atoi(os.Args[1])
	mask, maskErr := strconv.ParseUint(os.Args[2], 8, 9)
	if err := errors.Join(err, maskErr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(125)
	}
	syscall.Umask(int(mask))
	becomeAndRun(sharing+number, sharing, os.Args[3:])
}

// becomeAndRun replaces this process with the program that its arguments name. If root runs it, it first becomes
// another user.
func becomeAndRun(user, group int, arguments []string) {
	if err := become(user, group); err != nil {
		fmt.Fprintln(os.Stderr, "become another user:", err)
		os.Exit(125)
	}
	program, err := exec.LookPath(arguments[0])
	if err == nil {
		err = syscall.Exec(program, arguments, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "run as another user:", err)
	os.Exit(126)
}

func become(user, group int) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(group); err != nil {
		return err
	}
	return syscall.Setuid(user)
}
