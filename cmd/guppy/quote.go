package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/guppy-prep/guppy/internal/display"
)

// shellQuoted returns an argument as it is written in a command line of a POSIX shell. It has only characters that
// upset no terminal.
func shellQuoted(arg string) string {
	switch {
	case !allPrintable(arg):
		return dollarQuoted(arg)
	case arg == "" || strings.ContainsAny(arg, " \"'\\$&|;<>()*?[]#~`!{}"):
		return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return arg
}

// arguments returns the last arguments of a command as they are written in a shell. No flag may follow, because one of
// the arguments may look like a flag.
func arguments(args ...string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = shellQuoted(arg)
	}
	line := strings.Join(quoted, " ")
	if slices.ContainsFunc(args, func(arg string) bool { return len(arg) > 1 && arg[0] == '-' }) {
		return "-- " + line
	}
	return line
}

// dollarQuoted quotes an argument with $'...', the only quotes of a shell that have escapes. Bytes are octal, because a
// shell may take any number of hexadecimal digits.
func dollarQuoted(arg string) string {
	var out strings.Builder
	out.WriteString("$'")
	for i := 0; i < len(arg); {
		r, size := utf8.DecodeRuneInString(arg[i:])
		switch {
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case r == '\'' || r == '\\':
			out.WriteString(`\` + string(r))
		case isPrintable(r):
			out.WriteRune(r)
		default:
			for _, b := range []byte(arg[i : i+size]) {
				fmt.Fprintf(&out, `\%03o`, b)
			}
		}
		i += size
	}
	return out.String() + "'"
}

// printable returns a name as lists and sentences show it: as it is, or quoted for a shell if it could upset a terminal
// or if a reader could not see where it ends. A name with a blank in its middle stays as it is.
func printable(name string) string {
	looksQuoted := name != "" && strings.ContainsRune(`'"`, rune(name[0])) || strings.HasPrefix(name, "$'")
	if looksQuoted || !allPrintable(name) || strings.Trim(name, " ") != name {
		return shellQuoted(name)
	}
	return name
}

// printables is printable for each of some names.
func printables(names []string) (safe []string) {
	for _, name := range names {
		safe = append(safe, printable(name))
	}
	return safe
}

// oneLine returns a text, such as an error, on one line, with escapes in place of what could upset a terminal.
func oneLine(text string) string { return display.Printable(text) }

// allPrintable reports whether no character of a text upsets a terminal.
func allPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !isPrintable(r) })
}

func isPrintable(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }
