package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// Plan says what a call would do.
type Plan struct {
	// From and To are the versions before and after, 0 meaning none.
	From, To uint
	// Statements run before the steps: they create the schema and the version table. For Force they are all there
	// is.
	Statements []string
	Steps      []PlannedStep
	// Losses are the tables with rows that would be dropped.
	Losses []Loss
	// Database names the database, without secrets. It is "" for a file that does not exist.
	Database string
}

// PlannedStep is a migration that would be applied or reverted.
type PlannedStep struct {
	Migration
	Revert bool
	// File is the migration's file, below the migrations' root.
	File string
	// SQL is the text of the file, followed by the statements that record the version.
	SQL string
}

// Reverts reports whether the plan reverts migrations.
func (p Plan) Reverts() bool { return len(p.Steps) > 0 && p.Steps[0].Revert }

// Plan says what Migrate would do now. It changes nothing, takes no lock and creates no database. It returns
// ErrNewer or ErrDirty, in a *RefusedError, for a schema that can't be migrated, and ErrTarget.
func (m *Migrator) Plan(ctx context.Context, target Target) (Plan, error) {
	return m.plan(ctx, func(status Status, all list) (Plan, error) {
		steps, to, err := target.steps(status, all)
		if err != nil || len(steps) == 0 {
			return Plan{From: status.Current, To: status.Current}, err
		}

		plan := Plan{From: status.Current, To: to}
		for _, s := range steps {
			planned, err := m.planStep(s)
			if err != nil {
				return Plan{}, err
			}
			plan.Steps = append(plan.Steps, planned)
		}
		return plan, nil
	})
}

// PlanForce says what Force would do now, in the same way as Plan.
func (m *Migrator) PlanForce(ctx context.Context, version uint) (Plan, error) {
	return m.plan(ctx, func(status Status, all list) (Plan, error) {
		if version != 0 && !all.has(version) {
			return Plan{}, noSuchVersion(version, status)
		}
		return Plan{From: status.Current, To: version, Statements: recording(version)}, nil
	})
}

// plan adds to a plan what depends on the database.
func (m *Migrator) plan(ctx context.Context, drawUp func(Status, list) (Plan, error)) (plan Plan, err error) {
	all, err := m.load()
	if err != nil {
		return Plan{}, err
	}

	absent, err := m.absent()
	if err != nil {
		return Plan{}, err
	}

	// Opening the database would create it.
	if absent {
		plan, err = drawUp(statusOf(record{}, false, all), all)
		plan.Statements = append([]string{createVersionTable}, plan.Statements...)
		return plan, err
	}

	db, status, err := m.look(ctx, true)
	if err != nil {
		return Plan{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	if plan, err = drawUp(status, all); err != nil {
		return plan, err
	}
	plan.Database = db.Describe()
	return m.complete(ctx, db, plan)
}

func (m *Migrator) complete(ctx context.Context, db *dialect.DB, plan Plan) (Plan, error) {
	if len(plan.Statements)+len(plan.Steps) == 0 {
		return plan, nil
	}
	before, err := preparing(ctx, db)
	if err != nil {
		return plan, err
	}

	plan.Statements = append(before, plan.Statements...)
	if plan.Reverts() {
		plan.Losses, err = findLosses(ctx, db, plan.scripts())
	}
	return plan, err
}

func (p Plan) scripts() (scripts []string) {
	for _, s := range p.Steps {
		scripts = append(scripts, s.SQL)
	}
	return scripts
}

// absent reports whether the database is a file that is not there.
func (m *Migrator) absent() (bool, error) {
	files, err := dialect.Files(m.settings)
	if err != nil || len(files) == 0 {
		return false, err
	}
	_, err = os.Stat(files[0])
	return errors.Is(err, fs.ErrNotExist), nil // any other error shows when the file is opened
}

func (m *Migrator) planStep(s step) (PlannedStep, error) {
	engine, err := dialect.EngineOf(m.settings)
	if err != nil {
		return PlannedStep{}, err
	}

	file := engine.Facts().Name + "/" + s.file
	script, err := fs.ReadFile(m.files, file)
	if err != nil {
		return PlannedStep{}, err
	}

	sql := strings.TrimRight(string(script), "\n") + "\n"
	for _, statement := range recording(s.to) {
		sql += statement + ";\n"
	}
	return PlannedStep{s.Migration, s.direction < 0, file, sql}, nil
}

// recording returns the statements that record a version.
func recording(version uint) []string {
	statements := []string{sq.DebugSqlizer(sq.Delete(versionTable))}
	if version == 0 {
		return statements
	}
	value := sq.Expr(strconv.FormatUint(uint64(version), 10))
	return append(statements, sq.DebugSqlizer(sq.Insert(versionTable).Columns("version", "dirty").
		Values(value, sq.Expr("FALSE"))))
}

// preparing returns the statements that create the schema and the version table, unless they exist.
func preparing(ctx context.Context, db *dialect.DB) (statements []string, err error) {
	statement, err := db.MissingSchema(ctx)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}

	if statement != "" {
		statements = append(statements, statement)
	}

	found, err := db.HasTable(ctx, versionTable)
	if err != nil {
		return nil, fmt.Errorf("version table: %w", err)
	}

	if !found {
		statements = append(statements, createVersionTable)
	}
	return statements, nil
}
