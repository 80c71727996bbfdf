//go:build unix

package sqlite

import "golang.org/x/sys/unix"

func writable(directory string) bool {
	return unix.Access(directory, unix.R_OK|unix.W_OK|unix.X_OK) == nil
}
