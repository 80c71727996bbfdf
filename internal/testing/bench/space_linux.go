package main

import "golang.org/x/sys/unix"

// space returns how much may be written to a directory's file system, and whether that is in memory.
func space(dir string) (free int64, tmpfs bool, err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, false, err
	}
	return int64(stat.Bavail) * int64(stat.Bsize), stat.Type == unix.TMPFS_MAGIC, nil
}
