//go:build !long

package main

// eachLong returns all engines with the build tag long, and the embedded one without, see enginetest.EachLong.
func eachLong() []engine { return engines()[:1] }
