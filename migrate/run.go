package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	gomigrate "github.com/golang-migrate/migrate/v4"

	"github.com/guppy-prep/guppy/dialect"
)

// step is one migration to apply (direction +1) or revert (-1).
type step struct {
	Migration
	file      string
	direction int
	from, to  uint
	// again is the command that leads to where all steps lead.
	again string
}

// run sets a copy aside and takes the steps, each in its own transaction. An empty database takes all steps in one:
// half of them, left by a crash, would look like an older schema, which not every engine migrates unasked.
func (s *session) run(ctx context.Context, status Status, steps []step) (result Result, err error) {
	result = status.unchanged()
	if len(steps) == 0 {
		return result, nil
	}

	if err := s.refuseForeign(ctx, status); err != nil {
		return result, err
	}

	// Nobody may use the database while its schema changes.
	alone, err := s.db.LockAll(ctx)
	if err != nil {
		return result, fmt.Errorf("the schema can't change now: %w", err)
	}
	defer func() { err = errors.Join(err, alone.Release()) }()

	// The rows are counted while nobody can add any.
	if err := s.refuseLoss(ctx, steps); err != nil {
		return result, err
	}

	if err := s.copyAside(ctx, status, len(steps), &result); err != nil {
		return result, err
	}

	// A crash must not leave an empty database half migrated.
	together := 1
	if status.Empty {
		together = len(steps)
	}

	for batch := range slices.Chunk(steps, together) {
		if err := s.take(ctx, batch, Progress{Doing: "migrating", Done: len(result.Applied), Total: len(steps)}); err != nil {
			return result, err
		}
		for _, taken := range batch {
			result.Applied = append(result.Applied, taken.Migration)
			result.To = taken.to
		}
	}
	return result, nil
}

func (s *session) report(how Progress) {
	if s.progress != nil {
		s.progress(how)
	}
}

// refuseForeign returns ErrForeign for a database that others use.
func (s *session) refuseForeign(ctx context.Context, status Status) error {
	if !status.Empty {
		return nil
	}
	return refuseForeign(ctx, s.db, status)
}

func refuseForeign(ctx context.Context, db *dialect.DB, status Status) error {
	empty, err := db.IsEmpty(ctx, versionTable)
	if err != nil || empty {
		return err
	}
	return &RefusedError{ErrForeign, status.Current, status.Required,
		"name a database of its own, or on PostgreSQL a schema of its own (search_path in the URL)"}
}

// refuseLoss returns a *LossError if the steps drop tables with rows. Its caller keeps others from writing
// meanwhile.
func (s *session) refuseLoss(ctx context.Context, steps []step) error {
	if s.dropData || steps[0].direction > 0 {
		return nil
	}

	var scripts []string
	for _, next := range steps {
		script, err := fs.ReadFile(s.files, s.path(next.file))
		if err != nil {
			return err
		}
		scripts = append(scripts, string(script))
	}

	losses, err := findLosses(ctx, s.db, scripts)
	if err == nil && len(losses) > 0 {
		err = &LossError{losses}
	}
	return err
}

func (s *session) copyAside(ctx context.Context, status Status, steps int, result *Result) (err error) {
	if status.Empty || !s.db.CopiesAside() {
		return nil
	}

	how := Progress{Doing: "copying the database aside", Total: steps}
	if how.BytesTotal, err = s.db.Size(ctx); err != nil {
		return err
	}
	s.report(how)

	result.Backup, err = s.db.CopyAside(ctx, fmt.Sprintf(".v%d.bak", status.Current), func(bytes int64) {
		how.Bytes = bytes
		s.report(how)
	})
	if err != nil {
		result.Backup = ""
		return fmt.Errorf("set a copy of the database aside before migrating: %w", err)
	}
	s.log.InfoContext(ctx, "copied the database before migrating it", "copy", result.Backup)
	return nil
}

// take takes steps in one transaction. Cancelling the context takes effect before each of them.
func (s *session) take(ctx context.Context, batch []step, how Progress) error {
	begun, first, last := time.Now(), batch[0], batch[len(batch)-1]
	var files []string

	err := s.transact(ctx, func(m *gomigrate.Migrate) error {
		for _, next := range batch {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("stopped before %s: %w", s.path(next.file), err)
			}
			s.report(how)
			if err := m.Steps(next.direction); err != nil {
				return s.failed(next, first.from, err)
			}
			how.Done++
			files = append(files, s.path(next.file))
		}
		return nil
	})

	s.report(how)
	var commit *commitError
	if errors.As(err, &commit) {
		return s.failed(last, first.from, err)
	}

	if err == nil {
		s.log.InfoContext(ctx, "migrated the database", "from", first.from, "to", last.to)
		s.log.DebugContext(ctx, "took steps of a migration", "files", files, "duration", time.Since(begun))
	}
	return err
}

// failed describes a failed step. Its transaction began with the schema at the given version.
func (s *session) failed(failed step, version uint, err error) error {
	var script *scriptError
	var line uint
	var statement string
	if errors.As(err, &script) {
		line, statement, err = script.line, script.statement, script.err
	}

	var commit *commitError
	// If only the answer to the commit was lost, the commit may have succeeded.
	unsure := errors.As(err, &commit) && s.db.Server && s.db.Classify(err) == dialect.Unavailable

	return &FailedError{
		File:      s.path(failed.file),
		Line:      line,
		Statement: statement,
		Version:   version,
		Unsure:    unsure,
		Hint:      failed.hint(unsure, s.dropData),
		Err:       err,
	}
}
