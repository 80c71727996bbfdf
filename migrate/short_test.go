//go:build !long

package migrate

// long reports whether tests have the build tag long.
const long = false
