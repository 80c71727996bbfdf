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

const dbInfoHelp = `Info shows which database guppy uses, how large it is, how it is set up, and
what an operator should look into. It changes nothing, and works with any
version of the schema.`

func (a *app) dbCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "db", Short: "Inspect the database", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	command.AddCommand(&cobra.Command{
		Use: "info", Short: "Show the engine, size and settings of the database, and warn of problems",
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
