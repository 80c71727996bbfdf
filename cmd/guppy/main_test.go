package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this program as a process of its own, by its name.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"guppy": main, "unprivileged": unprivileged})
}

// quickExit keeps programs with the race detector from sleeping for a second before each exit.
const quickExit = "GORACE=atexit_sleep_ms=20"

type suite struct{ *testing.M }

// Run opens the directory of the programs to the user that unprivileged becomes.
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
	return s.M.Run()
}

// nobody is a user that permissions hold for.
const nobody = 65534

// unprivileged replaces itself with the program that its arguments name. Root may read and write everything, so it
// becomes another user first.
func unprivileged() {
	if err := dropPrivileges(); err != nil {
		fmt.Fprintln(os.Stderr, "unprivileged:", err)
		os.Exit(125)
	}
	program, err := exec.LookPath(os.Args[1])
	if err == nil {
		err = syscall.Exec(program, os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "unprivileged:", err)
	os.Exit(126)
}

func dropPrivileges() error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(nobody); err != nil {
		return err
	}
	return syscall.Setuid(nobody)
}
