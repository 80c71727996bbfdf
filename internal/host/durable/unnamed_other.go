//go:build !linux

package durable

import (
	"errors"
	"os"
)

// openUnnamed returns errors.ErrUnsupported: only Linux supports files without a name.
func openUnnamed(string) (*os.File, error) { return nil, errors.ErrUnsupported }
