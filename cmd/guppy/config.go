package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
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

			inForce := a.inForce(cfg)
			view := func(v config.Value) settingView { return newSettingView(v, inForce[v.Key]) }
			return printList(a, cfg.Values(), view, settingView.text)
		},
	})

	return command
}

// effect is the value that guppy chooses for a setting, and the reason.
type effect struct{ value, reason string }

// inForce returns the effects of settings whose configured value is not the one in use.
func (a *app) inForce(cfg *config.Config) map[string]effect {
	effects := map[string]effect{}
	if cfg.Prepare.Workers == 0 {
		effects["prepare.workers"] = effect{strconv.Itoa(workers(cfg)), "one for each CPU"}
	}

	// The effect of the settings of the pool depends on the engine.
	settings := a.databaseSettings(cfg)
	engine, err := dialect.EngineOf(settings)
	if err != nil {
		return effects
	}

	if facts := engine.Facts(); facts.PoolSize > 0 {
		fixed := effect{strconv.Itoa(facts.PoolSize), "whatever is set, on " + facts.Title}
		effects["repo.max_open_conns"], effects["repo.max_idle_conns"] = fixed, fixed
		return effects
	}

	addPool(effects, cfg, settings)
	if cfg.Repo.QueryExecMode == "" {
		effects["repo.query_exec_mode"] = effect{postgres.ExecMode(settings), execModeReason(settings)}
	}
	return effects
}

func execModeReason(settings dialect.Settings) string {
	withoutURL := settings
	withoutURL.URL = ""
	if postgres.ExecMode(settings) != postgres.ExecMode(withoutURL) {
		return "from the URL"
	}
	return "one round trip each"
}

func addPool(effects map[string]effect, cfg *config.Config, settings dialect.Settings) {
	open, idle := settings.PoolBounds()
	if open != cfg.Repo.MaxOpenConns {
		effects["repo.max_open_conns"] = effect{strconv.Itoa(open), fmt.Sprintf("from %d workers", workers(cfg))}
	}
	if idle != cfg.Repo.MaxIdleConns {
		effects["repo.max_idle_conns"] = effect{strconv.Itoa(idle), "as many as open"}
	}
}

type settingView struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Reason string `json:"reason,omitempty"`
	Origin string `json:"origin"`
}

func newSettingView(v config.Value, e effect) settingView {
	if e.value != "" {
		v.Value = e.value
	}
	return settingView{v.Key, v.Value, e.reason, string(v.Origin)}
}

func (v settingView) text(w io.Writer) {
	value := v.Value
	if v.Reason != "" {
		value += " (" + v.Reason + ")"
	}
	fmt.Fprintf(w, "%-32s %-40s # %s\n", v.Key, value, v.Origin)
}
