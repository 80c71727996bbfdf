//go:build !linux

package sqlite

import "github.com/guppy-prep/guppy/dialect"

// Writing finds no process: only Linux lists locks without taking them away.
func (Engine) Writing(*dialect.DB) string { return "" }
