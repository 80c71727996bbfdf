//go:build unix

package retrieve

import (
	"io/fs"
	"syscall"
)

// isShared tells whether a file has other names too: who writes to it could write outside.
func isShared(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || stat.Nlink != 1
}
