package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestExitCodesAreTheSameEverywhere compares the help with the table in docs/operators.md.
func TestExitCodesAreTheSameEverywhere(t *testing.T) {
	document, err := os.ReadFile("../../docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	var help strings.Builder
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \|$`).FindAllStringSubmatch(string(document), -1) {
		help.WriteString("  " + row[1] + strings.Repeat(" ", 5-len(row[1])) + row[2] + "\n")
	}
	// A long line is broken in the help.
	if unbroken := strings.ReplaceAll(exitHelp, "\n       ", " "); !strings.HasSuffix(unbroken, ":\n"+help.String()) {
		t.Errorf("the document has\n%s\nand the help is%s", help.String(), exitHelp)
	}
}
