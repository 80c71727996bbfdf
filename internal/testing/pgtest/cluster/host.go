package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ProgramDir returns the directory with all programs of the PostgreSQL server that clusters run. It returns
// ErrNoPrograms if PostgreSQL isn't installed.
func ProgramDir() (string, error) {
	found, err := findPrograms(os.Getenv("PATH"), installPatterns)
	if err != nil {
		return "", err
	}

	// Not every directory with links to the server's programs has links to all of them.
	server, err := filepath.EvalSymlinks(found.path("postgres"))
	if err != nil {
		return "", fmt.Errorf("server programs: %w", err)
	}
	return filepath.Dir(server), nil
}

// Account returns the account that servers run as, or nil if that is the account of this process.
func Account() (*syscall.Credential, error) { return unprivileged() }

// FreePort returns a TCP port of the loopback address that nobody listens on, and that no outgoing connection takes.
func FreePort() (int, error) { return freePort() }
