//go:build !unix

package sqlite

func writable(string) bool { return true }
