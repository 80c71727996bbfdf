package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/config"
)

// commandGroup is a group of commands, as the help of guppy lists them.
type commandGroup struct {
	id, title string
	commands  []*cobra.Command
}

func (a *app) commandGroups(help *cobra.Command) []commandGroup {
	return []commandGroup{
		{"prepare", "Prepare files and directories:", []*cobra.Command{
			a.prepareCommand(), a.uploadCommand(), a.workerCommand(), a.spaceCommand(), a.sourceCommand(),
		}},
		{"look", "Look at what is prepared:", []*cobra.Command{
			a.statusCommand(), a.lsCommand(), a.findCommand(), a.statsCommand(), a.diffCommand(), a.shardCommand(),
			a.indexCommand(),
		}},
		{"read", "Read content back:", []*cobra.Command{
			a.retrieveCommand(), a.exportCommand(), a.serveCommand(),
		}},
		{"keep", "Keep content sound:", []*cobra.Command{
			a.storeCommand(), a.checkCommand(), a.verifyCommand(), a.gcCommand(),
		}},
		{"move", "Back up and move the repository:", []*cobra.Command{
			a.backupCommand(), a.restoreCommand(), a.transferCommand(), a.dumpCommand(),
		}},
		{"operate", "Operate guppy:", []*cobra.Command{
			a.configCommand(), a.dbCommand(), a.migrateCommand(), a.completionCommand(), a.versionCommand(), help,
		}},
	}
}

// addCommands adds all commands, and what their help has in common.
func (a *app) addCommands(root *cobra.Command) {
	help := helpCommand()
	for _, group := range a.commandGroups(help) {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, command := range group.commands {
			command.GroupID = group.id
			root.AddCommand(command)
		}
	}

	// Cobra adds its help command again.
	root.SetHelpCommand(help)
	root.SetHelpCommandGroupID(help.GroupID)

	// All commands inherit the templates.
	root.SetUsageTemplate(wrapFlags(root.UsageTemplate()))
	root.SetHelpTemplate(root.HelpTemplate() + "{{if not .HasParent}}" + exitHelp + "{{end}}")
}

// helpWidth is the number of columns that the help texts fit into.
const helpWidth = 80

// wrapFlags returns a usage template that breaks the descriptions of flags at helpWidth.
func wrapFlags(template string) string {
	return strings.ReplaceAll(template, ".FlagUsages ", fmt.Sprintf(".FlagUsagesWrapped %d ", helpWidth))
}

// helpCommand is like the one of cobra, which takes an unknown command for a wish to see the help of guppy.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND...]", Short: "Show the help of a command",
		ValidArgsFunction: completeCommands,
		RunE: func(cmd *cobra.Command, args []string) error {
			command, rest, err := cmd.Root().Find(args)
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			if len(rest) > 0 {
				return unknownCommand(command, rest[0])
			}

			command.InitDefaultHelpFlag()
			return command.Help()
		},
	}
}

// unknownFlag turns a complaint about flags into a usage error that suggests the flags with the nearest names.
func unknownFlag(command *cobra.Command, err error) error {
	suggestion := ""
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		var known []string
		command.Flags().VisitAll(func(flag *pflag.Flag) { known = append(known, flag.Name) })
		suggestion = config.DidYouMean("--", unknown.GetSpecifiedName(), known)
		if unknown.GetSpecifiedShortnames() != "" {
			suggestion = ": before names that begin with - write --"
		}
	}
	return fmt.Errorf("%w: %w%s (see %s --help)", errUsage, err, suggestion, command.CommandPath())
}
