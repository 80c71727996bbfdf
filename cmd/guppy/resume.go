package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
)

// printResume prints the command line that resumes an interrupted run.
func printResume(w io.Writer, args []string) {
	fmt.Fprintln(w, "guppy: to resume, run again:", commandLine(args))
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

// here returns the flags of the command line that say where the repository is, so that a command that is printed with
// them finds it.
func (a *app) here() string {
	var flags strings.Builder
	for i, arg := range a.args {
		name, _, joined := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return flags.String()
		case !slices.Contains(placeFlags, name):
		case joined:
			flags.WriteString(" " + shellQuoted(withoutPasswords(a.args)[i]))
		case i+1 < len(a.args):
			flags.WriteString(" " + arg + " " + shellQuoted(withoutPasswords(a.args)[i+1]))
		}
	}
	return flags.String()
}

var placeFlags = []string{"--config", "--data-dir", "--database-type", "--database-url"}

// shellQuoted returns an argument as it is written in a command line of a shell.
func shellQuoted(arg string) string {
	if arg == "" || strings.ContainsAny(arg, " \t\n\"'\\$&|;<>()*?[]#~`!{}") {
		return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return arg
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
