package main

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// TestPrintedCommandsAreReadBackByAShell runs a line in a shell, where guppy is a program that prints its arguments.
// Escapes need a shell of POSIX.1-2024, which dash is not yet.
func TestPrintedCommandsAreReadBackByAShell(t *testing.T) {
	argument := rapid.Custom(func(t *rapid.T) string {
		raw := rapid.SliceOf(rapid.ByteRange(1, 255)).Draw(t, "bytes")
		return rapid.SampledFrom([]string{"", "-", "a'b", "$HOME", "~", "*", "$'"}).Draw(t, "prefix") + string(raw)
	})

	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(argument, 1, 4).Draw(t, "arguments")
		var line strings.Builder
		printResume(&line, commandLine(append([]string{"/usr/bin/guppy"}, args...)))

		_, command, found := strings.Cut(line.String(), "to resume, run again: ")
		if !found || !allPrintable(strings.TrimSuffix(command, "\n")) {
			t.Fatalf("no command in %q", &line)
		}

		shell := "bash"
		if allPrintable(strings.Join(args, "")) {
			shell = "sh"
		}
		output, err := exec.Command(shell, "-c", `guppy() { printf '%s\0' "$@"; }; `+command).Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}

		if want := strings.Join(args, "\x00") + "\x00"; string(output) != want {
			t.Fatalf("%s\nreads back as %q, want %q", command, output, want)
		}
	})
}

func FuzzPrintable(f *testing.F) {
	for _, path := range []string{
		"plain", "with space", "é", "new\nline", "\x1b[31m", "not\xffutf8", "\u202eevil", "end ", " ", "'a'", `"a"`, "$'a'",
	} {
		f.Add(path)
	}

	f.Fuzz(func(t *testing.T, path string) {
		shown := printable(path)
		if i := strings.IndexFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q is shown as %q", path, shown)
		}

		// The ends of what is shown are to be seen, and tell quoted names apart.
		quoted := shown == shellQuoted(path) && strings.HasSuffix(shown, "'")
		if shown != path && !quoted || strings.Trim(shown, " ") != shown ||
			shown == path && path != "" && strings.ContainsAny(path[:1], `'"`) {
			t.Errorf("%q is shown as %s", path, shown)
		}
	})
}

func TestTheResumeLineHasNoPasswords(t *testing.T) {
	for _, args := range [][]string{
		{"guppy", "prepare", "x", "--database-url", "postgres://me:hunter2@host/db"},
		{"guppy", "prepare", "x", "--database-url=postgres://me:hunter2@host/db"},
		{"guppy", "--database-url", "host=h password=hunter2 dbname=d", "prepare", "x"},
	} {
		var out strings.Builder
		printResume(&out, commandLine(args))
		if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "prepare x") {
			t.Errorf("%q is printed as %s", args, out.String())
		}
	}

	var out strings.Builder
	printResume(&out, commandLine([]string{"guppy", "prepare", "x", "--database-url", "postgres://me@host/db"}))
	if !strings.Contains(out.String(), "--database-url postgres://me@host/db\n") {
		t.Errorf("a URL without a password is printed as %s", out.String())
	}
}
