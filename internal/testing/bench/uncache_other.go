//go:build !linux

package main

import "errors"

// uncache can't be done on this system.
func uncache(string) error { return errors.ErrUnsupported }
