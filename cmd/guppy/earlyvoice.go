package main

import (
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/config"
)

// speakEarly sets up the log for an error that came before the configuration was loaded, if a log in JSON is asked for.
// What the command line asks for counts even if the rest of the command line is wrong.
func (a *app) speakEarly() {
	var given voice
	flags := pflag.NewFlagSet("guppy", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	given.addFlags(flags)
	file, format := flags.String("config", "", ""), flags.String("log-format", "", "")
	flags.BoolP("help", "h", false, "")
	flags.Usage = func() {}
	_ = flags.Parse(a.args) // the error that is to be said comes from there, or from elsewhere

	if *format == "" {
		*format = a.configuredFormat(*file)
	}
	if *format == config.LogJSON || *format != config.LogText && given.progress == progressJSON {
		a.log = slog.New(a.placedHandler(slog.NewJSONHandler(a.screen, nil)))
		a.logsJSON.Store(true)
	}
}

// configuredFormat returns the format of the log by the environment and the configuration file. If these are wrong
// elsewhere, the environment counts alone.
func (a *app) configuredFormat(file string) string {
	home, _ := os.UserHomeDir()
	cfg, err := config.Load(config.Input{File: file, Environ: a.environ, HomeDir: home})
	if err == nil {
		return cfg.Log.Format
	}

	for _, variable := range a.environ {
		if value, found := strings.CutPrefix(variable, "GUPPY_LOG_FORMAT="); found {
			return value
		}
	}
	return ""
}
