package shortage

import "golang.org/x/sys/unix"

func free(path string) (text string, found bool) {
	var stat unix.Statfs_t
	if unix.Statfs(path, &stat) != nil {
		return "", false
	}
	bytes := int64(stat.Bavail) * stat.Bsize //nolint:gosec // no file system has 2^63 free bytes
	return freeNow(bytes, stat.Ffree, stat.Files), true
}

// FreeBytes returns the free space on the file system of a path, and whether it is known.
func FreeBytes(path string) (bytes int64, known bool) {
	var stat unix.Statfs_t
	if unix.Statfs(path, &stat) != nil {
		return 0, false
	}
	return int64(stat.Bavail) * stat.Bsize, true //nolint:gosec // no file system has 2^63 free bytes
}
