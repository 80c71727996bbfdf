package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/migrate"
)

func (a *app) migrateVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of the schema", Args: usageArgs(cobra.NoArgs),
		RunE: a.withStatus(func(status migrate.Status) error { return a.printStatus(status, false) }),
	}
}

func (a *app) migrateList() *cobra.Command {
	command := &cobra.Command{
		Use: "list", Short: "List all migrations that this program knows, and whether they are applied",
		Args: usageArgs(cobra.NoArgs),
		RunE: a.withStatus(func(status migrate.Status) error {
			return migrationList.rows(a, viewKnown(status))
		}),
	}
	a.addListFlags(command)
	return command
}

// withStatus returns the body of a command that shows the schema as it is.
func (a *app) withStatus(show func(migrate.Status) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return a.withMigrator(cmd, func(ctx context.Context, m *migrate.Migrator, cfg *config.Config) error {
			if err := requireDataDir(cfg); err != nil {
				return err
			}

			status, err := m.Status(ctx)
			if err != nil {
				return err
			}
			return show(status)
		})
	}
}

const defaultWait = time.Minute

func (a *app) migrateStatus() *cobra.Command {
	var wait bool
	var timeout time.Duration
	command := &cobra.Command{
		Use: "status", Short: "Show applied and pending migrations; exit code 4 unless the schema fits",
		Long: "Show which migrations are applied, pending and dirty. The exit code is 4 unless\n" +
			"this program can use the schema, so a deployment can wait for it. --wait also\n" +
			"waits for a database that can't be reached yet.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("timeout") && !wait {
				return fmt.Errorf("%w: --timeout needs --wait", errUsage)
			}

			return a.withMigrator(cmd, func(ctx context.Context, m *migrate.Migrator, cfg *config.Config) error {
				look := m.Status
				// A data directory that is yet to be created is worth waiting for, too.
				if wait {
					look = func(ctx context.Context) (migrate.Status, error) { return a.waitForSchema(ctx, m, timeout) }
				} else if err := requireDataDir(cfg); err != nil {
					return err
				}

				status, err := look(ctx)
				if err != nil {
					return err
				}
				return a.printStatus(status, true)
			})
		},
	}

	command.Flags().BoolVar(&wait, "wait", false, "wait until this program can use the schema")
	a.addListFlags(command)
	command.Flags().DurationVar(&timeout, "timeout", defaultWait, "wait at most `DURATION`; 0 waits forever")
	return command
}

const waitPause = 200 * time.Millisecond

// waitForSchema waits until this program can use the schema and returns that status. When the time is over it
// returns the last status, or the error of the last attempt.
func (a *app) waitForSchema(ctx context.Context, m *migrate.Migrator, timeout time.Duration) (migrate.Status, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()

	status, err := m.Status(limited)
	for logged := false; ; logged = true {
		if err == nil && status.Fits() || isAny(err, usageErrors) {
			return status, err
		}

		if !logged {
			a.log.Info("waiting for the schema", "version", status.Current, "required", status.Required, "error", err)
		}

		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-limited.Done():
			return status, err
		case <-time.After(waitPause):
		}

		next, nextErr := m.Status(limited)
		// A query that was cut short says nothing about the schema.
		if limited.Err() == nil || !errors.Is(nextErr, limited.Err()) {
			status, err = next, nextErr
		}
	}
}

// statusView is the state of the schema.
type statusView struct {
	schemaVersions
	Migrations []knownView `json:"migrations"` // migrations that this program knows
}

// printStatus prints the version and, if detail is true, the applied and pending migrations. With detail it then
// fails unless this program can use the schema.
func (a *app) printStatus(status migrate.Status, detail bool) error {
	view := statusView{schemaVersions{status.Current, status.Required, status.Dirty}, viewKnown(status)}
	if a.listing.format == "" {
		if err := a.print(view, view.text); err != nil {
			return err
		}
	}
	if !detail {
		return nil
	}
	if !a.json || a.listing.format != "" {
		if err := migrationList.rows(a, view.Migrations); err != nil {
			return err
		}
	}

	if !status.Fits() {
		return fmt.Errorf("schema version %d, dirty: %t; this program needs version %d",
			status.Current, status.Dirty, status.Required)
	}
	return nil
}

func (v statusView) text(w io.Writer) {
	fmt.Fprintf(w, "version %d (this program needs %d)", v.Current, v.Required)
	if v.Dirty {
		fmt.Fprint(w, ", dirty")
	}
	fmt.Fprintln(w)
}

// knownView is a migration that the program knows.
type knownView struct {
	migrationView
	State string `json:"state"` // applied, pending or, if the migration was not finished, dirty
}

func viewKnown(status migrate.Status) []knownView {
	views := []knownView{}
	for _, m := range viewMigrations(status.Applied) {
		state := "applied"
		if status.Dirty && m.Version == status.Current {
			state = "dirty"
		}
		views = append(views, knownView{m, state})
	}
	for _, m := range viewMigrations(status.Pending) {
		views = append(views, knownView{m, "pending"})
	}
	return views
}

var migrationList = list[knownView]{name: "migrations", columns: []column[knownView]{
	{"VERSION", func(v knownView) string { return fmt.Sprintf("%04d", v.Version) }, whole},
	{"MIGRATION", func(v knownView) string { return v.Name }, words},
	{"STATE", func(v knownView) string { return v.State }, whole},
}}
