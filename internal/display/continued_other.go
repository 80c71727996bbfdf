//go:build !unix

package display

import "os"

// continued is empty: processes are not stopped here.
var continued []os.Signal
