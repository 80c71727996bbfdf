package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/dialect"
)

// resumption is the command line that goes on with what a command has begun. It is safe for concurrent use: a signal
// may end the program while the command is at work.
type resumption struct{ line atomic.Pointer[string] }

// by makes other command lines the ones that go on. A command calls it when it knows what its arguments stand for, or
// when it has done what must not be done twice.
func (r *resumption) by(lines ...string) {
	line := strings.Join(lines, " && ")
	r.line.Store(&line)
}

// lineFor returns the command line that goes on: the same one, with these arguments, unless the command says otherwise.
func (r *resumption) lineFor(args []string) string {
	if line := r.line.Load(); line != nil {
		return *line
	}
	return commandLine(args)
}

// printResume prints the command line that resumes an interrupted run.
func printResume(w io.Writer, line string) {
	fmt.Fprintln(w, "guppy: to resume, run again:", line)
}

// commandWith returns the line of a command with its flags, and with other arguments than it was given.
func commandWith(cmd *cobra.Command, args ...string) string {
	words, flags := strings.Fields(cmd.CommandPath()), givenFlags(cmd, nil)
	if slices.ContainsFunc(args, func(arg string) bool { return len(arg) > 1 && arg[0] == '-' }) {
		return commandLine(slices.Concat(words, flags, []string{"--"}, args))
	}
	return commandLine(slices.Concat(words, args, flags))
}

// again returns the command line with further flags, those of them that it lacks.
func (a *app) again(flags ...string) string {
	flags = slices.DeleteFunc(flags, func(flag string) bool { return slices.Contains(a.args, flag) })
	end := slices.Index(a.args, "--") // behind it are no flags
	if end < 0 {
		end = len(a.args)
	}
	return commandLine(slices.Concat([]string{"guppy"}, a.args[:end], flags, a.args[end:]))
}

// siblingWith is like commandWith but takes the name of another command, which gets the given flags that it has.
func siblingWith(cmd *cobra.Command, name string, args ...string) string {
	words := strings.Fields(name)
	sibling, _, err := cmd.Root().Find(words)
	if err != nil {
		panic(err) // the names are ours
	}
	return commandLine(slices.Concat([]string{cmd.Root().Name()}, words, args, givenFlags(cmd, sibling)))
}

// givenFlags returns the flags that a command was given, only those that another one has as well unless that is nil.
func givenFlags(cmd, other *cobra.Command) (flags []string) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if other != nil && other.Flags().Lookup(flag.Name) == nil && other.InheritedFlags().Lookup(flag.Name) == nil {
			return
		}

		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			switch {
			case flag.NoOptDefVal == "":
				flags = append(flags, "--"+flag.Name, value)
			case value == flag.NoOptDefVal:
				flags = append(flags, "--"+flag.Name)
			default:
				flags = append(flags, "--"+flag.Name+"="+value)
			}
		}
	})
	return flags
}

// commandLine returns a program and its arguments as they are written in a shell, without passwords.
func commandLine(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range withoutPasswords(args) {
		quoted[i] = shellQuoted(arg)
	}

	quoted[0] = filepath.Base(quoted[0])
	return strings.Join(quoted, " ")
}

// urlFlags are the flags whose values may contain passwords.
var urlFlags = []string{"--database-url", "--from", "--to"}

// withoutPasswords redacts the passwords of database URLs in the arguments.
func withoutPasswords(args []string) []string {
	shown := slices.Clone(args)
	for i, arg := range args {
		prefix, location, joined := strings.Cut(arg, "=")

		// A URL follows "=" or is the next argument.
		switch {
		case joined && slices.Contains(urlFlags, prefix):
			prefix += "="
		case i > 0 && slices.Contains(urlFlags, args[i-1]):
			prefix, location = "", arg
		default:
			continue
		}

		if dialect.HoldsPassword(dialect.Secret(location)) {
			shown[i] = prefix + dialect.Redact(location)
		}
	}

	return shown
}
