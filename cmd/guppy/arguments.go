package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// parameter is one of the arguments that the usage of a command names.
type parameter struct {
	// name is the name without brackets and dots, such as UPLOAD.
	name string
	// shown is the name as the usage has it, such as [UPLOAD] or CID...
	shown              string
	optional, repeated bool
}

// parametersOf returns the parameters that stand behind the name of a command in its usage. Flags end them.
func parametersOf(command *cobra.Command) (all []parameter) {
	for _, shown := range strings.Fields(command.Use)[1:] {
		name := strings.TrimPrefix(shown, "[")
		if strings.HasPrefix(name, "-") {
			break
		}

		optional := name != shown
		if optional {
			name = strings.TrimSuffix(name, "]")
		}
		name, repeated := strings.CutSuffix(name, "...")
		all = append(all, parameter{name, shown, optional, repeated})
	}
	return all
}

// parameterAt returns the parameter that the argument with this index is for. A repeated one takes all that follow.
func parameterAt(command *cobra.Command, index int) (parameter, bool) {
	all := parametersOf(command)
	if last := len(all) - 1; last >= 0 && index > last && all[last].repeated {
		return all[last], true
	}
	if index < 0 || index >= len(all) {
		return parameter{}, false
	}
	return all[index], true
}

// usageError is an errUsage about a command's arguments.
type usageError struct {
	command *cobra.Command
	problem string
}

func (e *usageError) Error() string { return e.problem }
func (e *usageError) Unwrap() error { return errUsage }

// Hint returns the usage of the command.
func (e *usageError) Hint() string {
	return fmt.Sprintf("guppy: usage: %s (see %s --help)", e.command.UseLine(), e.command.CommandPath())
}

// usageArgs turns cobra's complaints about arguments into usage errors that have the names of the parameters.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		err := check(command, args)
		if err == nil {
			return nil
		}

		// Without parameters the argument was meant to be a command.
		if command.HasAvailableSubCommands() && len(parametersOf(command)) == 0 {
			return unknownCommand(command, args[0])
		}
		return &usageError{command, misfit(command, args, err)}
	}
}

// misfit says which arguments are missing or too many, or else what cobra says.
func misfit(command *cobra.Command, args []string, err error) string {
	var needed, missing, taken []string
	for i, p := range parametersOf(command) {
		taken = append(taken, p.shown)
		if p.optional {
			continue
		}
		needed = append(needed, p.name)
		if i >= len(args) {
			missing = append(missing, p.name)
		}
	}

	// The errors of guppy begin with its name.
	_, path, _ := strings.Cut(command.CommandPath(), " ")
	if len(missing) > 0 {
		verb := "is"
		if len(missing) > 1 {
			verb = "are"
		}
		return fmt.Sprintf("%s needs %s: %s %s missing", path, enumerate(needed), enumerate(missing), verb)
	}

	if _, fits := parameterAt(command, len(args)-1); fits {
		return err.Error()
	}
	if len(taken) == 0 {
		return fmt.Sprintf("%s takes no arguments: %q is one too many", path, args[0])
	}
	return fmt.Sprintf("%s takes %s: %q is one too many", path, enumerate(taken), args[len(taken)])
}

// enumerate joins words as a sentence does.
func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// unknownCommand returns the error for a command that its parent does not have.
func unknownCommand(parent *cobra.Command, name string) error {
	return fmt.Errorf("%w: unknown command %q for %q%s (see %s --help)", errUsage, name, parent.CommandPath(),
		nearestCommand(parent, name), parent.CommandPath())
}

func nearestCommand(parent *cobra.Command, name string) string {
	var known []string
	for _, command := range parent.Commands() {
		if command.IsAvailableCommand() {
			known = append(known, command.Name())
		}
	}
	return config.DidYouMean(parent.CommandPath()+" ", name, known)
}

// meantError is an error about a name that may have been meant as a command.
type meantError struct {
	error
	hint string
}

func (e *meantError) Unwrap() error { return e.error }

// Hint returns the command that may have been meant.
func (e *meantError) Hint() string { return e.hint }

// perhapsMeant returns the error of a command. If its first argument was not found, and the command has others below
// it, as guppy upload has, the argument may be the name of one of them.
func perhapsMeant(command *cobra.Command, err error) error {
	args := command.Flags().Args()
	if !errors.Is(err, sqlrepo.ErrNotFound) || !command.HasAvailableSubCommands() || len(args) == 0 {
		return err
	}
	if suggestion := nearestCommand(command, args[0]); suggestion != "" {
		return &meantError{err, "guppy" + strings.Replace(suggestion, ";", ":", 1)}
	}
	return err
}
