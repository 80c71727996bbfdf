package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const dbInfoHelp = `Info shows which database guppy uses, what it takes, how it is set up, and what an operator should
know of. It changes nothing, and works with any version of the schema.

With --json it prints one object:
  engine, version, location             the location shows no secrets
  schema      current, required (by this program), dirty
  bytes, free_bytes, log_bytes          of the whole database, unused in it, and of the log of changes beside it;
                                        the last two are 0 where the engine keeps that to itself
  filesystem                            where the engine has files on this host, if it can be told
  tables      list of name, bytes, rows (absent when it can't be told), estimated (rows are what the engine last
              thought), and indexes, a list of name and bytes
  nodes, bytes_per_node                 of the table of nodes with its indexes; absent without nodes
  settings    those in force that decide on speed and safety, by name
  warnings    list of code and text`

func (a *app) dbCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "db", Short: "Look at the database", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	command.AddCommand(&cobra.Command{
		Use: "info", Short: "Show what the database is, what it takes, how it is set up, and what is wrong with it",
		Long: dbInfoHelp, Args: usageArgs(cobra.NoArgs), RunE: a.dbInfo,
	})

	return command
}

func (a *app) dbInfo(cmd *cobra.Command, _ []string) error {
	cfg, err := a.load(cmd)
	if err != nil {
		return err
	}
	if err := a.requireRepository(cmd.Context(), cfg); err != nil {
		return err
	}
	view, err := a.inspectDatabase(cmd.Context(), cfg)
	if err != nil {
		return databaseError(err)
	}
	return a.print(view, view.text)
}

// inspectDatabase opens the database as it is. It does not migrate the schema.
func (a *app) inspectDatabase(ctx context.Context, cfg *config.Config) (view *dbInfoView, err error) {
	settings := a.databaseSettings(cfg)
	status, err := migrate.New(settings).Status(ctx)
	if err != nil {
		return nil, err
	}

	db, err := dialect.Open(ctx, settings)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	info, err := db.Info(ctx)
	if err != nil {
		return nil, err
	}
	view = newDBInfoView(db, status, info)

	// Only the schema that this program needs can be queried.
	if status.Current == status.Required && !status.Dirty {
		nodes, err := sqlrepo.New(db, sqlrepo.WithRetryFor(cfg.Repo.RetryFor)).CountNodes(ctx)
		if err != nil {
			return nil, err
		}
		view.countNodes(nodes)
	}
	return view, nil
}
