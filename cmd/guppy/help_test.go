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

// TestEachCommandIsInAGroup looks at the commands that the help of guppy lists.
func TestEachCommandIsInAGroup(t *testing.T) {
	for _, command := range rootForTests().Commands() {
		if command.GroupID == "" {
			t.Errorf("%s is in no group", command.CommandPath())
		}
	}
}

// TestHelpEndsWithTheExitCodes asks for the help of each command. Only that of guppy has them.
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
		help := helpOf(t, name)
		if hasCodes := codes.MatchString(help); hasCodes != (name == "") {
			t.Errorf("%s: %v for\n%s", name, hasCodes, help)
		}
		for line := range strings.Lines(help) {
			if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > longestLine {
				t.Errorf("%s: %d columns: %s", name, width, line)
			}
		}
	}
}

// longestLine is the most columns of a line of help that is made from several texts, such as a list of commands.
const longestLine = 100

func helpOf(t *testing.T, name string) string {
	t.Helper()
	var help bytes.Buffer
	exit := run(t.Context(), append(strings.Fields(name), "--help"), []string{"HOME=" + t.TempDir()}, &help, os.Stderr)
	if exit != exitComplete {
		t.Fatalf("%s: exit code %d and\n%s", name, exit, &help)
	}
	return help.String()
}

// TestUsageAndChecksAgree compares the arguments that the usage of each command names with those that it takes.
func TestUsageAndChecksAgree(t *testing.T) {
	root := rootForTests()
	for _, name := range commandNames(root, "") {
		command, _, err := root.Find(strings.Fields(name))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 6 {
			args := strings.Fields(strings.Repeat("x ", n))
			refused := command.ValidateArgs(args)
			next, more := parameterAt(command, n)
			last, known := parameterAt(command, n-1)
			required := more && !next.optional && (!next.repeated || last != next)
			if fits := !required && (n == 0 || known); fits != (refused == nil) {
				t.Errorf("%s with %d arguments: %v, and its usage is %q", name, n, refused, command.Use)
			}
			if refused != nil && exitCode(t.Context(), refused) != exitUsage {
				t.Errorf("%s with %d arguments: %v", name, n, refused)
			}
		}
	}
}
