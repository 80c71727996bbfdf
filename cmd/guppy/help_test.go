package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/display"
)

// TestHelpFitsATerminal looks at the texts of all commands, which are printed as they are.
func TestHelpFitsATerminal(t *testing.T) {
	a := &app{stdout: os.Stdout, screen: display.NewScreen(os.Stderr, nil)}
	commands := []*cobra.Command{a.rootCommand()}
	for len(commands) > 0 {
		command := commands[0]
		commands = append(commands[1:], command.Commands()...)
		for line := range strings.Lines(command.Long) {
			if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 80 {
				t.Errorf("%s: %d columns: %s", command.CommandPath(), width, line)
			}
		}
	}
}

// TestHelpEndsWithTheExitCodes asks for the help of each command, and of those that have commands below them.
func TestHelpEndsWithTheExitCodes(t *testing.T) {
	a := &app{stdout: os.Stdout, screen: display.NewScreen(os.Stderr, nil)}
	codes := regexp.MustCompile(`\nExit codes:\n(  [^\n]*\n)*  4 [^\n]*\n(  [^\n]*\n)*  130  interrupted[^\n]*\n$`)
	names := append(commandNames(a.rootCommand(), ""), "")
	for _, name := range names {
		if above, _, below := strings.Cut(name, " "); below && !slices.Contains(names, above) {
			names = append(names, above)
		}
	}

	for _, name := range names {
		var help bytes.Buffer
		exit := run(t.Context(), append(strings.Fields(name), "--help"), []string{"HOME=" + t.TempDir()}, &help, os.Stderr)
		if exit != exitComplete || !codes.Match(help.Bytes()) {
			t.Errorf("%s: exit code %d and\n%s", name, exit, &help)
		}
	}
}
