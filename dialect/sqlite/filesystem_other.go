//go:build !linux

package sqlite

// filesystemOf can't tell file systems apart here.
func filesystemOf(string) (name string, shared bool) { return "", false }
