//go:build !linux

package shortage

func free(string) (text string, found bool) { return "", false }

// FreeBytes returns the free space on the file system of a path, and whether it is known.
func FreeBytes(string) (bytes int64, known bool) { return 0, false }
