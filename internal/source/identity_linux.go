package source

import (
	"io/fs"
	"syscall"
)

// identity returns a file's device, inode and ctime, or zeros if the file system does not provide them.
func identity(info fs.FileInfo) (device uint64, inode, ctime int64) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, 0
	}
	return uint64(stat.Dev), int64(stat.Ino), stat.Ctim.Nano() //nolint:gosec,unconvert // kept as they are
}
