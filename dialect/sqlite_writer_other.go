//go:build !linux

package dialect

// sqliteWriter finds nobody: only Linux tells of locks without taking them away.
func sqliteWriter(*DB) string { return "" }
