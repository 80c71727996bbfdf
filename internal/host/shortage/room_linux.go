package shortage

import "golang.org/x/sys/unix"

func room(path string) (text string, found bool) {
	var stat unix.Statfs_t
	if unix.Statfs(path, &stat) != nil {
		return "", false
	}
	return free(path, stat.Bavail*uint64(stat.Bsize), stat.Ffree, stat.Files),
		true //nolint:gosec // a block's size is positive
}
