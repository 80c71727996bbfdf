package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "config", Short: "Show the configuration", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(&cobra.Command{
		Use: "show", Short: "Show the values in force and where each comes from; secrets are redacted",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd)
			if err != nil {
				return err
			}
			return printList(a, cfg.Values(), newSettingView, settingView.text)
		},
	})
	return command
}

type settingView struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

func newSettingView(v config.Value) settingView {
	return settingView{v.Key, v.Value, string(v.Origin)}
}

func (v settingView) text(w io.Writer) {
	fmt.Fprintf(w, "%-32s %-40s # %s\n", v.Key, v.Value, v.Origin)
}
