package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/durable"
	"github.com/guppy-prep/guppy/migrate"
)

func (a *app) migrateCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "migrate", Short: "Look at and change the schema of the database", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(&cobra.Command{
		Use: "up", Short: "Apply all pending migrations", Args: usageArgs(cobra.NoArgs),
		RunE: a.migration(func(ctx context.Context, m *migrate.Migrator, _ []string) error {
			return a.printMigrated(m.Up(ctx))
		}),
	}, &cobra.Command{
		Use: "down N", Short: "Revert the last N migrations, and what they hold", Args: usageArgs(cobra.ExactArgs(1)),
		RunE: a.migration(func(ctx context.Context, m *migrate.Migrator, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return fmt.Errorf("%w: %q is no number of migrations", errUsage, args[0])
			}
			return a.printMigrated(m.Down(ctx, n))
		}),
	}, &cobra.Command{
		Use: "force N", Short: "Record that the schema has version N and is not dirty, once it is mended by hand",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: a.migration(func(ctx context.Context, m *migrate.Migrator, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 0 {
				return fmt.Errorf("%w: %q is no version", errUsage, args[0])
			}
			return a.printMigrated(m.Force(ctx, n))
		}),
	}, &cobra.Command{
		Use: "version", Short: "Show the version of the schema", Args: usageArgs(cobra.NoArgs),
		RunE: a.migration(func(ctx context.Context, m *migrate.Migrator, _ []string) error {
			return a.printStatus(ctx, m, false)
		}),
	}, &cobra.Command{
		Use: "status", Short: "Show what is applied and pending; exit code 4 unless this program can use the schema",
		Args: usageArgs(cobra.NoArgs),
		RunE: a.migration(func(ctx context.Context, m *migrate.Migrator, _ []string) error {
			return a.printStatus(ctx, m, true)
		}),
	})
	return command
}

// migration is a command that works on the schema, whatever its version.
func (a *app) migration(fn func(context.Context, *migrate.Migrator, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := a.load(cmd)
		if err != nil {
			return err
		}
		if err := durable.MakeDirectory(cfg.Repo.DataDir, 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		err = fn(cmd.Context(), migrate.New(a.databaseSettings(cfg), migrate.WithLogger(a.log)), args)
		if err != nil {
			return databaseError(err)
		}
		return nil
	}
}

type migrationView struct {
	Version uint   `json:"version"`
	Name    string `json:"name"`
}

func viewMigrations(migrations []migrate.Migration) []migrationView {
	views := []migrationView{}
	for _, m := range migrations {
		views = append(views, migrationView{m.Version, m.Name})
	}
	return views
}

type migratedView struct {
	From       uint            `json:"from"`
	To         uint            `json:"to"`
	Migrations []migrationView `json:"migrations"`
	Copy       string          `json:"copy,omitempty"`
}

// printMigrated prints what was done even when it failed half-way.
func (a *app) printMigrated(result migrate.Result, failed error) error {
	view := migratedView{result.From, result.To, viewMigrations(result.Applied), result.Backup}
	if failed != nil && len(view.Migrations) == 0 {
		return failed
	}
	err := a.print(view, func(w io.Writer) {
		fmt.Fprintf(w, "version %d -> %d\n", view.From, view.To)
		for _, m := range view.Migrations {
			fmt.Fprintf(w, "  %04d %s\n", m.Version, m.Name)
		}
		if view.Copy != "" {
			fmt.Fprintf(w, "copy of the database before that: %s\n", view.Copy)
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

type statusView struct {
	Current  uint            `json:"current"`
	Required uint            `json:"required"`
	Dirty    bool            `json:"dirty"`
	Applied  []migrationView `json:"applied"`
	Pending  []migrationView `json:"pending"`
}

// printStatus prints the version and, in detail, what is applied and pending.
func (a *app) printStatus(ctx context.Context, m *migrate.Migrator, detail bool) error {
	status, err := m.Status(ctx)
	if err != nil {
		return err
	}
	view := statusView{
		status.Current, status.Required, status.Dirty, viewMigrations(status.Applied), viewMigrations(status.Pending),
	}
	if err := a.print(view, func(w io.Writer) { view.text(w, detail) }); err != nil || !detail {
		return err
	}
	if status.Dirty || status.Current != status.Required {
		return fmt.Errorf("schema version %d, dirty: %t; this program needs version %d",
			status.Current, status.Dirty, status.Required)
	}
	return nil
}

func (v statusView) text(w io.Writer, detail bool) {
	fmt.Fprintf(w, "version %d (this program needs %d)", v.Current, v.Required)
	if v.Dirty {
		fmt.Fprint(w, ", dirty")
	}
	fmt.Fprintln(w)
	if !detail {
		return
	}
	for _, m := range v.Applied {
		fmt.Fprintf(w, "  %04d %s: applied\n", m.Version, m.Name)
	}
	for _, m := range v.Pending {
		fmt.Fprintf(w, "  %04d %s: pending\n", m.Version, m.Name)
	}
}
