package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
)

// expansion expands a path that a user wrote, given the home directory.
type expansion func(home, path string) (string, error)

// expanded returns a path with the home directory for a leading "~/". The shell has not replaced it in a flag such as
// --output=~/x.
func expanded(path string, expand expansion) (string, error) {
	home, _ := os.UserHomeDir() // only some paths need it
	return expand(home, path)
}

// expandArgs makes a command expand the arguments that are paths: those at the given indexes, as far as they are given.
func expandArgs(command *cobra.Command, expand expansion, indexes ...int) {
	check := command.Args
	command.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return err
		}

		for _, i := range indexes {
			if i >= len(args) {
				break
			}
			path, err := expanded(args[i], expand)
			if err != nil {
				return fmt.Errorf("%w: %q: %w", errUsage, args[i], err)
			}
			// The command gets the same slice.
			args[i] = path
		}
		return nil
	}
}

// pathFlag is a flag whose value is a path.
type pathFlag struct{ path *string }

func (f pathFlag) String() string {
	if f.path == nil {
		return ""
	}
	return *f.path
}

// Set implements pflag.Value.
func (f pathFlag) Set(path string) (err error) {
	*f.path, err = expanded(path, config.ExpandPath)
	return err
}

// Type implements pflag.Value.
func (pathFlag) Type() string { return "string" }
