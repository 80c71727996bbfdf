package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/migrate"
)

func (a *app) migrateCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "migrate", Short: "Look at and change the schema of the database", Args: usageArgs(cobra.NoArgs),
		Long: "Look at and change the schema of the database. A change waits for others that migrate, refuses\n" +
			"while a run is at work, and is rolled back wholly if it fails. repo.migrate_url names a direct connection past\n" +
			"a pooler.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	command.AddCommand(a.migrateUp(), a.migrateDown(), a.migrateGoto(), a.migrateForce(), a.migrateVersion(),
		a.migrateStatus(), a.migrateList(), a.migrateCreate())
	return command
}

// change holds the flags of a command that changes the schema.
type change struct {
	dryRun, yes, dropData bool
}

func (c *change) addFlags(command *cobra.Command) *cobra.Command {
	command.Flags().BoolVar(&c.dryRun, "dry-run", false, "print the SQL that would run, and change nothing")
	return command
}

// addConsent adds the flags that let a command take something away.
func (c *change) addConsent(command *cobra.Command) {
	command.Flags().BoolVar(&c.yes, "yes", false, "don't ask")
	command.Flags().BoolVar(&c.dropData, "destroy-data", false, "drop tables even if they have rows")
}

func (a *app) migrateUp() *cobra.Command {
	var c change
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
	var c change
	var to uint
	command := &cobra.Command{
		Use: "down [N]", Short: "Revert the last migration, the last N, or those after a version",
		Long: "Revert the last migration, the last N, or those after a version. Tables that have rows are only\n" +
			"dropped with --destroy-data. It asks on a terminal; elsewhere it needs --yes.",
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
		return migrate.Target{}, fmt.Errorf("%w: %q is no number of migrations", errUsage, args[0])
	}
	return migrate.DownBy(n), nil
}

func (a *app) migrateGoto() *cobra.Command {
	var c change
	command := &cobra.Command{
		Use: "goto VERSION", Short: "Apply or revert migrations, whichever leads to a version; 0 is an empty database",
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
	var c change
	command := &cobra.Command{
		Use: "force VERSION", Short: "Record a version, not dirty, for a schema that was mended by hand; runs no migration",
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
		return 0, fmt.Errorf("%w: %q is no version: guppy migrate list shows them", errUsage, text)
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
	settings, direct := a.databaseSettings(cfg), cfg.Repo.MigrateURL
	if direct == "" {
		return settings
	}

	settings.URL = direct
	if dialect.HoldsPassword(direct) {
		settings.Password = ""
	}

	// The URL alone says where the server is. TLS settings stay unless the URL has its own.
	server := dialect.OptionsOf[postgres.Options](settings)
	server.Host, server.Port, server.User, server.Database, server.ExecMode = "", 0, "", "", ""
	server.TransactionPooler = false
	for name, value := range map[string]*string{
		"sslmode": &server.SSLMode, "sslrootcert": &server.SSLRootCert, "sslcert": &server.SSLCert, "sslkey": &server.SSLKey,
	} {
		if _, found := dialect.URLParameter(direct, name); found {
			*value = ""
		}
	}

	return dialect.WithOptions(settings, server)
}

// makeDataDir creates the data directory, which may hold the database file.
func makeDataDir(cfg *config.Config) error {
	if err := durable.MakeDirectory(cfg.Repo.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}
