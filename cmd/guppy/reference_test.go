package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/testing/documents"
)

const referenceIntro = "# Commands\n\n" +
	"This page is made from the program by `make docs`. A flag that stands for a setting is linked to\n" +
	"[its key](configuration.md): a flag overrides the environment, which overrides the configuration file.\n\n"

// TestReferenceOfCommands compares docs/reference/commands.md with the program.
func TestReferenceOfCommands(t *testing.T) {
	root := (&app{}).rootCommand()
	var text strings.Builder
	text.WriteString(referenceIntro)

	text.WriteString("| command | what it does |\n|---|---|\n")
	commands := listCommands(root)
	for _, command := range commands {
		path := command.CommandPath()
		if arguments := argumentsOf(command); arguments != "" {
			path += " " + strings.ReplaceAll(arguments, "|", `\|`)
		}
		anchor := strings.ReplaceAll(command.CommandPath(), " ", "-")
		fmt.Fprintf(&text, "| [`%s`](#%s) | %s |\n", path, anchor, command.Short)
	}
	referenceOfFlags(&text, "Flags of all commands", root.PersistentFlags())
	codes := strings.TrimPrefix(exitHelp, "\nExit codes:")
	fmt.Fprintf(&text, "\n## Exit codes of all commands\n\n```text%s```\n", codes)

	for _, command := range commands {
		fmt.Fprintf(&text, "\n## %s\n\n```text\n%s\n", command.CommandPath(), describe(command))
		fmt.Fprintf(&text, "\nUsage:\n  %s\n", command.UseLine())
		if command.HasExample() {
			fmt.Fprintf(&text, "\nExamples:\n%s\n", command.Example)
		}
		if flags := command.NonInheritedFlags(); flags.HasAvailableFlags() {
			fmt.Fprintf(&text, "\nFlags:\n%s", flags.FlagUsagesWrapped(helpWidth))
		}
		text.WriteString("```\n")
		referenceOfSettings(&text, command.NonInheritedFlags())
	}
	documents.Compare(t, "../../docs/reference/commands.md", text.String())
}

// argumentsOf returns what the usage of a command names behind it.
func argumentsOf(command *cobra.Command) string {
	_, arguments, _ := strings.Cut(command.Use, " ")
	return arguments
}

// listCommands returns the commands below one in their order, without those that only have others below them.
func listCommands(parent *cobra.Command) (all []*cobra.Command) {
	for _, command := range parent.Commands() {
		if !command.IsAvailableCommand() {
			continue
		}
		if !command.HasAvailableSubCommands() || argumentsOf(command) != "" {
			all = append(all, command)
		}
		all = append(all, listCommands(command)...)
	}
	return all
}

func describe(command *cobra.Command) string {
	if command.Long != "" {
		return strings.TrimSpace(command.Long)
	}
	return command.Short + "."
}

func referenceOfFlags(text *strings.Builder, title string, flags *pflag.FlagSet) {
	fmt.Fprintf(text, "\n## %s\n\n```text\n%s```\n", title, flags.FlagUsagesWrapped(helpWidth))
	referenceOfSettings(text, flags)
}

// referenceOfSettings links the flags that stand for a setting to its key.
func referenceOfSettings(text *strings.Builder, flags *pflag.FlagSet) {
	var links []string
	flags.VisitAll(func(flag *pflag.Flag) {
		if key, found := settings[flag.Name]; found && flag.Annotations[noSetting] == nil {
			section, _, _ := strings.Cut(key, ".")
			links = append(links, fmt.Sprintf("`--%s` is [`%s`](configuration.md#%s)", flag.Name, key, section))
		}
	})
	if len(links) > 0 {
		fmt.Fprintf(text, "\n%s.\n", strings.Join(links, ",\n"))
	}
}
