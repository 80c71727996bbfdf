package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

const transferHelp = `Transfer copies all rows, as of one moment, in one transaction, and compares
both sides before it commits: if anything fails, the target stays empty.
Unfinished work continues in the new database. A URL that is not given is the
one of the configured database. Shards and keys are not in the database: they
stay where they are.

A copy and its original must not both work on one store, or remove from it: each
removes shards that only the other one knows. Continue with only one of them.`

func (a *app) transferCommand() *cobra.Command {
	var from, to string
	var allowLive bool
	command := &cobra.Command{
		Use:   "transfer [--from URL] [--to URL]",
		Short: "Copy a whole repository into another, empty database of any engine",
		Long:  transferHelp,
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd)
			if err != nil {
				return err
			}

			if from == "" && to == "" {
				return fmt.Errorf("%w: name the source with --from, the target with --to, or both", errUsage)
			}

			for _, flag := range []struct {
				name string
				url  *string
			}{{"--from", &from}, {"--to", &to}} {
				given := *flag.url
				if *flag.url, err = expanded(given, config.ExpandDatabaseURL); err != nil {
					// What is refused is a path, which has no password.
					return fmt.Errorf("%w: %s %q: %w", errUsage, flag.name, given, err)
				}
			}
			return a.transfer(cmd.Context(), cfg, from, to, allowLive)
		},
	}

	flags := command.Flags()
	flags.StringVar(&from, "from", "", "copy the database at `URL` (default: the configured one)")
	flags.StringVar(&to, "to", "", "copy into the database at `URL`, which must be empty (default: the configured one)")
	flags.BoolVar(&allowLive, "allow-live", false,
		"copy a source that is in use, as it is now; later changes will be missing")

	return command
}

// settingsOf returns the settings of the database at a URL. An empty URL stands for the configured database, past
// a pooler if a direct connection is configured. Settings about the configured server do not apply to any other
// database.
func (a *app) settingsOf(cfg *config.Config, url string) dialect.Settings {
	if url == "" {
		return a.directSettings(cfg)
	}
	return dialect.Elsewhere(a.databaseSettings(cfg), dialect.Secret(url))
}

// transfer copies the database at one URL to the one at another. An empty URL stands for the configured database.
func (a *app) transfer(ctx context.Context, cfg *config.Config, fromURL, toURL string, allowLive bool) (err error) {
	from, to := a.settingsOf(cfg, fromURL), a.settingsOf(cfg, toURL)

	if fromURL == "" {
		err = requireDataDir(cfg)
	}
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}

	source, err := openSource(ctx, from)
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()

	if toURL == "" {
		err = makeDataDir(cfg)
	}
	if err != nil {
		return fmt.Errorf("the target: %w", err)
	}

	target, err := a.openTarget(ctx, to)
	if err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()

	repo := sqlrepo.New(source, sqlrepo.WithRetryFor(cfg.Repo.RetryFor))

	// Leases of processes of this host that are gone must not make the source look busy.
	if err := leftovers.ReleaseAll(ctx, repo, a.log); err != nil {
		return err
	}

	into := sqlrepo.New(target, sqlrepo.WithRetryFor(cfg.Repo.RetryFor))
	return a.showTransfer(ctx, source.Describe(), target.Describe(), a.checking(toURL),
		func(progress copying.Progress) (copying.Content, error) {
			return copying.New(repo).TransferTo(ctx, into, copying.Transfer{AllowLive: allowLive, Progress: progress,
				// By then nobody can change either schema.
				Ready: func(ctx context.Context) error {
					return errors.Join(requireSchema(ctx, from), requireSchema(ctx, to))
				}})
		})
}

// checking returns the command that checks the repository at a URL. "" stands for the configured database, and for
// one whose URL has a password, which is not printed.
func (a *app) checking(url string) string {
	switch {
	case url == "":
		return toRun + "check"
	case dialect.HoldsPassword(dialect.Secret(url)):
		return ""
	}
	return toRun + "check" + a.here("--database-type", "--database-url") + " --database-url " + shellQuoted(url)
}

// openSource opens a database that must exist and have the schema that this program needs.
func openSource(ctx context.Context, settings dialect.Settings) (*dialect.DB, error) {
	if err := requireTables(ctx, settings); err != nil {
		return nil, err
	}
	if err := requireSchema(ctx, settings); err != nil {
		return nil, err
	}

	db, err := dialect.Open(ctx, settings)
	if err != nil {
		return nil, databaseError(err)
	}
	return db, nil
}

// openTarget opens a database and creates its tables if it has none. It does not change an existing schema.
func (a *app) openTarget(ctx context.Context, settings dialect.Settings) (*dialect.DB, error) {
	status, err := migrate.New(settings).Status(ctx)
	switch {
	case errors.Is(err, dialect.ErrSchema): // it is created together with the tables
	case err != nil:
		return nil, databaseError(err)
	case !status.Empty:
		if err := requireSchema(ctx, settings); err != nil {
			return nil, err
		}
	}

	db, _, err := migrate.New(settings, migrate.WithLogger(a.log)).Open(ctx, true)
	if err != nil {
		return nil, databaseError(err)
	}
	return db, nil
}

// requireSchema returns an error unless the database has the schema that this program needs.
func requireSchema(ctx context.Context, settings dialect.Settings) error {
	status, err := migrate.New(settings).Status(ctx)
	if err != nil {
		return databaseError(err)
	}
	if !status.Dirty && status.Current == status.Required {
		return nil
	}
	return fmt.Errorf("%w: its schema has version %d, dirty: %t, and this program needs version %d: see guppy "+
		"migrate status, with the --database-url of this database", errDatabase, status.Current, status.Dirty,
		status.Required)
}
