//go:build !unix

package source

import "os"

const (
	openFile      = os.O_RDONLY
	openDirectory = os.O_RDONLY
	openHandle    = openDirectory
)
