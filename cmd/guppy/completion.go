package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/config"
)

const completionHelp = `Completion writes a script that makes a shell complete the commands and flags of
guppy, and the names of spaces, sources, stores and uploads. The names are read
from the repository whenever the shell asks for them.

bash needs the package bash-completion. Load the script from the file that your
shell reads when it starts, or save it where the shell looks for completions, as
in the examples. For PowerShell, put this line into the file $PROFILE:
  guppy completion powershell | Out-String | Invoke-Expression`

func (a *app) completionCommand() *cobra.Command {
	scripts := map[string]func(*cobra.Command) error{
		"bash":       func(root *cobra.Command) error { return root.GenBashCompletionV2(a.stdout, true) },
		"zsh":        func(root *cobra.Command) error { return root.GenZshCompletion(a.stdout) },
		"fish":       func(root *cobra.Command) error { return root.GenFishCompletion(a.stdout, true) },
		"powershell": func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(a.stdout) },
	}

	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completion " + strings.Join(shells, "|"), Short: "Write the script that completes command lines in a shell",
		Long: completionHelp, Args: usageArgs(cobra.ExactArgs(1)), ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			write, found := scripts[args[0]]
			if !found {
				return fmt.Errorf("%w: there is no completion for the shell %q, but for %s%s", errUsage, args[0], enumerate(shells),
					config.DidYouMean("", args[0], shells))
			}
			return write(cmd.Root())
		},
	}
}

// completes reports whether the command line is that of a shell that asks how one goes on.
func (a *app) completes() bool {
	return len(a.args) > 0 && (a.args[0] == cobra.ShellCompRequestCmd || a.args[0] == cobra.ShellCompNoDescRequestCmd)
}

// completeEverything lets shells complete the arguments and the values of flags of a command and all below it.
func (a *app) completeEverything(command *cobra.Command) {
	if command.ValidArgs == nil && command.ValidArgsFunction == nil {
		command.ValidArgsFunction = a.completeArgument
	}

	command.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		if complete := a.flagCompletion(flag); complete != nil {
			// It fails only for flags that the command does not have, or that have a completion.
			_ = command.RegisterFlagCompletionFunc(flag.Name, complete)
		}

		// Help takes the name of a value from backquotes. A shell would show them.
		if a.completes() {
			flag.Usage = strings.ReplaceAll(flag.Usage, "`", "")
		}
	})

	for _, below := range command.Commands() {
		a.completeEverything(below)
	}
}
