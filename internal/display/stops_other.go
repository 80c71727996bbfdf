//go:build !unix

package display

import "os"

// The signals are none: processes are not stopped here.
var stopping, continued []os.Signal

func stopProcess() error { return nil }
