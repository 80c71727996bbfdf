package main

import (
	"cmp"
	"maps"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "config", Short: "Show the configuration", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	show := &cobra.Command{
		Use: "show", Short: "Show the settings in force and where each comes from; secrets are redacted",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd)
			if err != nil {
				return err
			}

			inForce := a.inForce(cfg)
			views := []settingView{}
			for _, value := range cfg.Values() {
				views = append(views, newSettingView(value, inForce[value.Key]))
			}
			return settingList.rows(a, views)
		},
	}
	a.addListFlags(show)
	command.AddCommand(show)

	return command
}

// inForce returns the values in use, and the reasons, of settings whose configured value is not the one in use.
func (a *app) inForce(cfg *config.Config) map[string]dialect.Choice {
	choices := map[string]dialect.Choice{}
	if cfg.Prepare.Workers == 0 {
		choices["prepare.workers"] = dialect.Choice{Value: strconv.Itoa(workers(cfg)), Reason: "one for each CPU"}
	}

	// The effect of the settings of the pool depends on the engine.
	settings := a.databaseSettings(cfg)
	engine, err := dialect.EngineOf(settings)
	if err != nil {
		return choices
	}

	if facts := engine.Facts(); facts.PoolSize > 0 {
		fixed := dialect.Choice{Value: strconv.Itoa(facts.PoolSize), Reason: "always, on " + facts.Title}
		choices["repo.max_open_conns"], choices["repo.max_idle_conns"] = fixed, fixed
		return choices
	}

	addPool(choices, cfg, settings)
	maps.Copy(choices, dialect.Choices(settings))
	return choices
}

func addPool(choices map[string]dialect.Choice, cfg *config.Config, settings dialect.Settings) {
	open, idle := settings.PoolBounds()
	if open != cfg.Repo.MaxOpenConns {
		reason := "from " + plural(int64(workers(cfg)), "worker")
		choices["repo.max_open_conns"] = dialect.Choice{Value: strconv.Itoa(open), Reason: reason}
	}
	if idle != cfg.Repo.MaxIdleConns {
		choices["repo.max_idle_conns"] = dialect.Choice{Value: strconv.Itoa(idle), Reason: "as many as open"}
	}
}

// settingView is a setting.
type settingView struct {
	Key    string `json:"key"`              // name of the setting
	Value  string `json:"value"`            // value in force, as text
	Reason string `json:"reason,omitempty"` // why the value is not the configured one
	Origin string `json:"origin,omitempty"` // where the configured value comes from
}

func newSettingView(v config.Value, choice dialect.Choice) settingView {
	if choice.Value != "" {
		v.Value = choice.Value
	}
	return settingView{v.Key, v.Value, cmp.Or(v.Reason, choice.Reason), string(v.Origin)}
}

var settingList = list[settingView]{name: "settings", columns: []column[settingView]{
	{"SETTING", func(v settingView) string { return v.Key }, whole},
	{"VALUE", func(v settingView) string { return oneLine(v.Value) }, words},
	{"ORIGIN", func(v settingView) string { return v.Origin }, words},
	{"REASON", func(v settingView) string { return v.Reason }, words},
}}
