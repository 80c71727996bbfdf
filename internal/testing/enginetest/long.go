//go:build long

package enginetest

const long = true
