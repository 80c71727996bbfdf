package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/migrate"
)

// changeSchema brings the schema to a target, which may take something away. It does exactly what the operator
// agreed to, even if others change the schema meanwhile.
func (a *app) changeSchema(cmd *cobra.Command, c changeFlags, target migrate.Target) error {
	var options []migrate.Option
	if c.dropData {
		options = append(options, migrate.WithDestroyData())
	}

	return a.withMigrator(cmd, func(ctx context.Context, m *migrate.Migrator, cfg *config.Config) error {
		plan, err := m.Plan(ctx, target)
		if err != nil || c.dryRun {
			return a.printPlan(plan, err)
		}

		if err := a.agree(ctx, c, plan); err != nil {
			return err
		}

		// A number of steps could lead elsewhere by now, so the agreed target is a version.
		agreed := migrate.UpTo(plan.To)
		if plan.Reverts() {
			agreed = migrate.DownTo(plan.To)
			a.resume.by(siblingWith(cmd, "migrate goto", strconv.FormatUint(uint64(plan.To), 10)))
		}
		if err := a.carryOut(ctx, m, cfg, agreed); err != nil {
			return err
		}
		if plan.Reverts() {
			a.warnOfMigration(cfg)
		}
		return nil
	}, options...)
}

// warnOfMigration says whether the next command brings an older schema up to date again.
func (a *app) warnOfMigration(cfg *config.Config) {
	const again = "the next command that opens the database migrates it up again; "
	engine, err := dialect.EngineOf(a.databaseSettings(cfg))
	_, always := engine.(dialect.PathCopier)

	switch {
	case err == nil && always:
		a.log.Warn(again + "to keep this version, use the guppy that needs it")
	case cfg.Repo.AutoMigrate:
		a.log.Warn(again + "to keep this version, set repo.auto_migrate to false, or GUPPY_REPO_AUTO_MIGRATE=false")
	}
}

// agree asks the operator to consent to the losses of a revert. It returns a *migrate.LossError if tables with
// rows would be dropped and --destroy-data is not set.
func (a *app) agree(ctx context.Context, c changeFlags, plan migrate.Plan) error {
	if !plan.Reverts() {
		return nil
	}
	// A yes on the terminal is not enough to drop rows.
	if len(plan.Losses) > 0 && !c.dropData {
		return &migrate.LossError{Losses: plan.Losses}
	}

	var names []string
	for _, s := range plan.Steps {
		names = append(names, fmt.Sprintf("%04d %s", s.Version, s.Name))
	}

	question := fmt.Sprintf("This reverts %s in %s: version %d -> %d.", strings.Join(names, ", "), plan.Database,
		plan.From, plan.To)

	if len(plan.Losses) > 0 {
		question += " It drops " + migrate.DescribeLosses(plan.Losses) + "."
	}
	return a.confirm(ctx, c.yes, question+" Continue?")
}

func (a *app) carryOut(ctx context.Context, m *migrate.Migrator, cfg *config.Config, target migrate.Target) error {
	if err := makeDataDir(cfg); err != nil {
		return err
	}

	task := progress.NewTask("migrating", "migration")
	migrate.WithProgress(followMigration(task))(m)
	stop := a.showProgress(ctx, task.State)
	result, err := m.Migrate(ctx, target)
	stop()
	return a.printMigrated(result, err)
}

// followMigration returns a function that makes a task show how far a migration is.
func followMigration(task *progress.Task) func(migrate.Progress) {
	return func(p migrate.Progress) {
		task.Follow(p.Doing, "migration", int64(p.Done), int64(p.Total))
		task.FollowBytes(p.Bytes, p.BytesTotal)
	}
}

func (a *app) forceVersion(ctx context.Context, m *migrate.Migrator, cfg *config.Config, c changeFlags,
	version uint) error {
	plan, err := m.PlanForce(ctx, version)
	if err != nil || c.dryRun {
		return a.printPlan(plan, err)
	}

	database := plan.Database
	if database == "" {
		database = "a new database"
	}

	fmt.Fprintf(a.screen, "This records version %d in place of %d, as not dirty, in %s, and changes nothing else: "+
		"the tables must already be those of version %d.\n", version, plan.From, database, version)
	if err := a.confirm(ctx, c.yes, "Are they?"); err != nil {
		return err
	}

	if err := makeDataDir(cfg); err != nil {
		return err
	}
	return a.printMigrated(m.Force(ctx, int(version)))
}

// planView is what a change of the schema would do.
type planView struct {
	From       uint              `json:"from_version"` // version of the schema now
	To         uint              `json:"to_version"`   // version that it would get
	DryRun     bool              `json:"dry_run"`      // true: nothing was changed
	Statements []string          `json:"statements"`   // SQL statements that would run before the migrations
	Migrations []plannedStepView `json:"migrations"`   // migrations that would run, in order
	Drops      []lossView        `json:"losses"`       // tables with rows that would be dropped
}

// plannedStepView is a migration that would run.
type plannedStepView struct {
	migrationView
	File string `json:"file_name"` // name of its file
	SQL  string `json:"sql"`       // what it runs
}

// lossView is a table that would be dropped with its rows.
type lossView struct {
	Table string `json:"table"`     // name of the table
	Rows  int64  `json:"row_count"` // number of its rows
}

// printPlan prints the migrations that would run, as a script.
func (a *app) printPlan(plan migrate.Plan, err error) error {
	if err != nil {
		return err
	}
	view := planView{plan.From, plan.To, true, append([]string{}, plan.Statements...), []plannedStepView{}, []lossView{}}

	for _, s := range plan.Steps {
		view.Migrations = append(view.Migrations, plannedStepView{migrationView{s.Version, s.Name}, s.File, s.SQL})
	}
	for _, l := range plan.Losses {
		view.Drops = append(view.Drops, lossView(l))
	}

	return a.print(view, view.text)
}

func (v planView) text(w io.Writer) {
	fmt.Fprintf(w, "-- version %d -> %d\n", v.From, v.To)
	for _, l := range v.Drops {
		fmt.Fprintf(w, "-- drops %s with %s\n", l.Table, plural(l.Rows, "row"))
	}
	for _, statement := range v.Statements {
		fmt.Fprintf(w, "%s;\n", statement)
	}
	for _, m := range v.Migrations {
		fmt.Fprintf(w, "\n-- %s\n%s", m.File, m.SQL)
	}
}

// migrationView is a migration.
type migrationView struct {
	Version uint   `json:"schema_version"` // version of the schema that it leads to
	Name    string `json:"migration"`      // name of the migration
}

func viewMigrations(migrations []migrate.Migration) []migrationView {
	views := []migrationView{}
	for _, m := range migrations {
		views = append(views, migrationView{m.Version, m.Name})
	}
	return views
}

// migratedView is what a change of the schema has done.
type migratedView struct {
	From       uint            `json:"from_version"`          // version of the schema before
	To         uint            `json:"to_version"`            // version now
	Migrations []migrationView `json:"migrations"`            // migrations that ran, in order
	Copy       string          `json:"backup_file,omitempty"` // copy of the database before the change, if one was made
}

// printMigrated prints the migrations that ran, even if a later one failed.
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
			fmt.Fprintf(w, "copy of the database before the change: %s\n", view.Copy)
		}
	})

	// The error of the migration matters more than one of printing.
	if failed != nil {
		return failed
	}
	return err
}
