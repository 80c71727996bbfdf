package main

import (
	_ "embed"
	"strings"

	"github.com/spf13/cobra"
)

// examples has the examples of all commands: below the name of each, they are indented as its help has them.
//
//go:embed examples.txt
var examples string

// addExamples gives a command, and all below it, their examples.
func addExamples(command *cobra.Command) {
	_, text, found := strings.Cut("\n"+examples, "\n"+command.CommandPath()+"\n")
	if found {
		end := strings.Index(text, "\n\nguppy")
		if end < 0 {
			end = len(text)
		}
		command.Example = strings.TrimRight(text[:end], "\n")
	}

	for _, below := range command.Commands() {
		addExamples(below)
	}
}
