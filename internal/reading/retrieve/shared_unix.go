//go:build unix

package retrieve

import (
	"io/fs"
	"syscall"
)

// isShared reports whether a file has other names, through which a write could change a file outside.
func isShared(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || stat.Nlink != 1
}
