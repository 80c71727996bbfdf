package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/migrate"
)

func (a *app) migrateCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "migrate", Short: "Show and change the schema of the database", Args: usageArgs(cobra.NoArgs),
		Long: "Show and change the schema of the database. A change waits for other processes\n" +
			"that migrate, is refused while a run is at work, and is rolled back completely\n" +
			"if it fails. repo.migrate_url names a direct connection past a pooler.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	command.AddCommand(a.migrateUp(), a.migrateDown(), a.migrateGoto(), a.migrateForce(), a.migrateVersion(),
		a.migrateStatus(), a.migrateList(), a.migrateCreate())
	return command
}

// changeFlags holds the flags of a command that changes the schema.
type changeFlags struct {
	dryRun, yes, dropData bool
}

func (c *changeFlags) addFlags(command *cobra.Command) *cobra.Command {
	command.Flags().BoolVar(&c.dryRun, "dry-run", false, "print the SQL that would run, and change nothing")
	return command
}

// addConsent adds the flags that let a command take something away.
func (c *changeFlags) addConsent(command *cobra.Command) {
	command.Flags().BoolVar(&c.yes, "yes", false, "don't ask")
	command.Flags().BoolVar(&c.dropData, "destroy-data", false, "drop tables even if they have rows")
}

func (a *app) migrateUp() *cobra.Command {
	var c changeFlags
	var to uint
	command := &cobra.Command{
		Use: "up", Short: "Apply all pending migrations, or those up to a version", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			target := migrate.Latest()
			if cmd.Flags().Changed("to") {
				target = migrate.UpTo(to)
			}

			return a.withMigrator(cmd, func(ctx context.Context, m *migrate.Migrator, cfg *config.Config) error {
				if c.dryRun {
					return a.printPlan(m.Plan(ctx, target))
				}
				return a.carryOut(ctx, m, cfg, target)
			})
		},
	}

	command.Flags().UintVar(&to, "to", 0, "stop after the migration `VERSION`")
	return c.addFlags(command)
}

func (a *app) migrateDown() *cobra.Command {
	var c changeFlags
	var to uint
	command := &cobra.Command{
		Use: "down [N]", Short: "Revert the last migration, the last N, or those after a version",
		Long: "Revert the last migration, the last N, or those after a version. Tables that\n" +
			"have rows are dropped only with --destroy-data. The command asks on a terminal;\n" +
			"elsewhere it needs --yes.",
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := downTarget(args, to, cmd.Flags().Changed("to"))
			if err != nil {
				return err
			}

			return a.changeSchema(cmd, c, target)
		},
	}

	command.Flags().UintVar(&to, "to", 0, "stop at `VERSION`; 0 reverts all")
	c.addConsent(command)
	return c.addFlags(command)
}

func downTarget(args []string, to uint, toGiven bool) (migrate.Target, error) {
	switch {
	case toGiven && len(args) > 0:
		return migrate.Target{}, fmt.Errorf("%w: give either N or --to", errUsage)
	case toGiven:
		return migrate.DownTo(to), nil
	case len(args) == 0:
		return migrate.DownBy(1), nil
	}

	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return migrate.Target{}, fmt.Errorf("%w: %q is not a number of migrations", errUsage, args[0])
	}
	return migrate.DownBy(n), nil
}

func (a *app) migrateGoto() *cobra.Command {
	var c changeFlags
	command := &cobra.Command{
		Use: "goto VERSION", Short: "Apply or revert migrations up to a version; 0 is an empty database",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := parseVersion(args[0])
			if err != nil {
				return err
			}

			return a.changeSchema(cmd, c, migrate.To(version))
		},
	}

	c.addConsent(command)
	return c.addFlags(command)
}

func (a *app) migrateForce() *cobra.Command {
	var c changeFlags
	command := &cobra.Command{
		Use: "force VERSION", Short: "Record a version as not dirty, after a repair by hand; runs no migration",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := parseVersion(args[0])
			if err != nil {
				return err
			}

			return a.withMigrator(cmd, func(ctx context.Context, m *migrate.Migrator, cfg *config.Config) error {
				return a.forceVersion(ctx, m, cfg, c, version)
			})
		},
	}

	command.Flags().BoolVar(&c.yes, "yes", false, "don't ask")
	return c.addFlags(command)
}

func parseVersion(text string) (uint, error) {
	version, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is not a version: guppy migrate list prints them", errUsage, text)
	}
	return uint(version), nil
}

// withMigrator calls fn for a command that works on the schema, whatever its version.
func (a *app) withMigrator(cmd *cobra.Command,
	fn func(context.Context, *migrate.Migrator, *config.Config) error, options ...migrate.Option) error {
	cfg, err := a.load(cmd)
	if err != nil {
		return err
	}

	m := migrate.New(a.directSettings(cfg), append(options, migrate.WithLogger(a.log))...)
	err = fn(cmd.Context(), m, cfg)
	if err == nil || errors.Is(err, migrate.ErrHoldsData) || errors.Is(err, errDeclined) {
		return err
	}
	return databaseError(err)
}

// directSettings returns the settings for changing the schema. Those in repo.migrate_url override the others.
func (a *app) directSettings(cfg *config.Config) dialect.Settings {
	settings := a.databaseSettings(cfg)
	if cfg.Repo.MigrateURL == "" {
		return settings
	}
	return dialect.Direct(settings, cfg.Repo.MigrateURL)
}

// makeDataDir creates the data directory, which may hold the database file.
func makeDataDir(cfg *config.Config) error {
	if err := durable.MakeDirectory(cfg.Repo.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}
