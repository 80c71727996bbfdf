//go:build !linux

package source

// systemTraits knows of no differences between file systems.
func systemTraits(string) Traits { return Traits{} }
