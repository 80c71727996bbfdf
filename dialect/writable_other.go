//go:build !unix

package dialect

func writable(string) bool { return true }
