//go:build unix

package main

import "syscall"

// openFileLimit returns the number of files that the process may have open.
func openFileLimit() (limit uint64, known bool) {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		return 0, false
	}
	return uint64(min(now.Cur, 1<<20)), true //nolint:unconvert // it is signed on some systems
}
