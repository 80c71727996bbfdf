package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/host/shortage"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// app is the state that the commands share.
type app struct {
	args    []string
	environ []string
	stdout  io.Writer
	screen  *display.Screen
	// root has the commands, once a command line runs.
	root  *cobra.Command
	voice voice
	log   *slog.Logger
	// logsJSON is true if the log is in JSON.
	logsJSON atomic.Bool

	configFile string
	// ran is true if there is work to resume.
	ran bool
	// resume is how an interrupted command is continued.
	resume resumption
	json   bool
	// newKey is the file with the key of a space that the command has added.
	newKey string
	// acceptSource is the value of --accept-source. accepted holds the sources for which it has been used up.
	acceptSource bool
	accepted     map[int64]bool
	// storeAgain is the value of --store-again.
	storeAgain bool
	// listing holds the flags of lists.
	listing listOptions
	// always is the value of --always.
	always bool
	// replicas are the values of --replica, tags those of --tag.
	replicas, tags []string
	// sendTo is set once the stores of these replicas were found.
	sendTo *replicaStores
}

// settings maps flags to the keys of the configuration that they set.
var settings = map[string]string{
	"data-dir":         "repo.data_dir",
	"database-type":    "repo.database_type",
	"database-url":     "repo.database_url",
	"log-level":        "log.level",
	"log-format":       "log.format",
	"space":            "prepare.space",
	"store":            "prepare.store",
	"shard-size":       "prepare.shard_size",
	"profile":          "prepare.profile",
	"workers":          "prepare.workers",
	"read-ahead":       "prepare.read_ahead",
	"piece-cid":        "prepare.piece_cid",
	"index-layout":     "index.layout",
	"index-max-slices": "index.max_slices",
	"listen":           "serve.listen",
	"exclude":          "prepare.exclude",
	"exclude-file":     "prepare.exclude_file",
	"symlinks":         "prepare.symlinks",
	"on-error":         "prepare.on_error",
	"reread":           "prepare.reread",
	"ignore-inode":     "prepare.ignore_inode",
	"ignore-ctime":     "prepare.ignore_ctime",
	"mtime-window":     "prepare.mtime_window",
	"source-path":      "worker.source_paths",
	"store-path":       "store.paths",
}

// noSetting marks a flag that has the name of a setting but another meaning.
const noSetting = "guppy_no_setting"

// run runs one command line and returns its exit code.
func run(ctx context.Context, args, environ []string, stdout io.Writer, stderr *os.File) int {
	return newApp(args, environ, stdout, stderr).run(ctx)
}

func newApp(args, environ []string, stdout io.Writer, stderr *os.File) *app {
	return &app{args: args, environ: environ, stdout: stdout, screen: display.NewScreen(stderr, environ)}
}

func (a *app) run(ctx context.Context) int {
	root := a.rootCommand()
	a.root = root
	root.SetArgs(a.args)
	help := &helpOutput{to: a.stdout}
	root.SetOut(help)
	root.SetErr(a.screen)

	err := perhapsMeant(root.ExecuteContextC(ctx))
	if err == nil {
		err = help.err
	}
	err = outputError(err)
	code := exitCode(ctx, err)

	if code != exitComplete {
		a.fail(err, code)
	}
	return code
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "guppy",
		Short: "Turn directories of any size into content-addressed CAR shards",
		Long: "guppy scans a source, builds its UnixFS DAG, packs the blocks into CAR shards,\n" +
			"and records everything it knows in a preparation repository: an embedded SQLite\n" +
			"database, or PostgreSQL.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       fullVersion(),
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	root.SetFlagErrorFunc(unknownFlag)

	flags := root.PersistentFlags()
	flags.Var(pathFlag{&a.configFile}, "config",
		"read configuration `FILE` (YAML or TOML; default: config.yaml in $XDG_CONFIG_HOME/guppy)")
	flags.BoolVar(&a.json, "json", false, "print results as JSON: see docs/reference/json.md")

	flags.String("data-dir", "", "keep the database, keys and shards in `DIR` (default ~/.guppy)")
	flags.String("database-type", "", "database engine: `"+strings.Join(dialect.Names(),
		"|")+"` (default: inferred from the URL)")
	flags.String("database-url", "", "database `URL` (default: a SQLite file in the data directory)")

	a.voice.addFlags(flags)
	flags.String("log-level", "", "log level: `debug|info|warn|error` (default info)")
	flags.String("log-format", "",
		"log format: `auto|text|json` (default auto: sentences on a terminal, otherwise text)")

	a.addCommands(root)
	addExamples(root)
	a.completeEverything(root)
	return root
}

// load reads the configuration and sets up the log that it asks for.
func (a *app) load(cmd *cobra.Command) (*config.Config, error) {
	if isSet(cmd, "yes") && isSet(cmd, "dry-run") {
		return nil, fmt.Errorf("%w: --yes and --dry-run contradict each other", errUsage)
	}

	cfg, err := a.configuration(cmd)
	if err != nil {
		return nil, err
	}

	if err := a.speak(cfg); err != nil {
		return nil, err
	}
	for _, warning := range cfg.Warnings {
		a.log.Warn(warning)
	}
	return cfg, nil
}

// isSet reports whether a command has a flag that is true.
func isSet(cmd *cobra.Command, name string) bool {
	flag := cmd.Flags().Lookup(name)
	return flag != nil && flag.Value.String() == "true"
}

// configuration reads the configuration for a command.
func (a *app) configuration(cmd *cobra.Command) (*config.Config, error) {
	// The home directory is only needed for paths that begin with ~.
	home, _ := os.UserHomeDir()

	flags := map[string]config.Flag{}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if key, ok := settings[flag.Name]; ok && flag.Annotations[noSetting] == nil {
			flags[key] = config.Flag{Name: flag.Name, Value: flagValue(flag)}
		}
	})
	return config.Load(config.Input{File: a.configFile, Environ: a.environ, Flags: flags, HomeDir: home})
}

func flagValue(flag *pflag.Flag) any {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return flag.Value.String()
}

// hintFor returns the advice that is printed below an error, or "" if there is none.
func hintFor(err error) string {
	var hinted interface{ Hint() string }
	var advised *dialect.Advised

	switch {
	case errors.As(err, &hinted):
		return hinted.Hint()
	case errors.As(err, &advised):
		return "guppy: " + advised.Advice()
	case shortage.Explain(err) != "":
		return "guppy: " + shortage.Explain(err)
	case errors.Is(err, migrate.ErrAbsent):
		return "guppy: guppy config show prints where repo.data_dir and repo.database_url come from; guppy migrate up " +
			"creates an empty repository there"
	case errors.Is(err, pipeline.ErrSetAside):
		return "guppy: guppy status shows what was set aside, and the command that tries it again"
	case errors.Is(err, copying.ErrSourceInUse):
		return "guppy: wait until nobody is at work (guppy status), or copy the present state with --allow-live"
	case errors.Is(err, copying.ErrNotEmpty):
		return "guppy: name an empty database; its tables are created if it has none"
	case errors.Is(err, sqlrepo.ErrLocked):
		return "guppy: wait until that process has ended, or interrupt it, and run the same command again"
	case errors.Is(err, sqlrepo.ErrAtWork):
		return "guppy: guppy status shows who is at work; run again with the same options to join in, or when " +
			"they have finished"
	}

	return ""
}
