// Package shortage distinguishes what a process lacks from what is wrong with the files that it reads.
package shortage

import (
	"errors"
	"io/fs"
	"syscall"
)

var (
	// exhausted are the errors for resources that the process or its host has used up.
	exhausted = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM}
	// full are the errors of a file system that accepts no more data.
	full = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS}
)

// Exhausted reports whether err is a shortage of open files or of memory.
func Exhausted(err error) bool { return isAny(err, exhausted) }

// Is reports whether err is a shortage of this process or its host: Exhausted, or a file system that is full, over
// quota or read-only.
func Is(err error) bool { return Exhausted(err) || isAny(err, full) }

// Bars reports whether err keeps this process from reading something, and so says nothing about what it reads: a
// shortage, or a lack of permission.
func Bars(err error) bool { return Is(err) || errors.Is(err, fs.ErrPermission) }

func isAny(err error, targets []error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
