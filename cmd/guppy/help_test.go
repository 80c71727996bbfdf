package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestHelpEndsWithTheExitCodes asks for the help of each command, and of those that have commands below them.
func TestHelpEndsWithTheExitCodes(t *testing.T) {
	a := &app{stdout: os.Stdout, terminal: newTerminal(os.Stderr)}
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
