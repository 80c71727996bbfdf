//go:build !long

package main

// long reports whether tests have the build tag long.
const long = false
