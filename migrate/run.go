package migrate

import (
	"context"
	"fmt"
	"time"

	gomigrate "github.com/golang-migrate/migrate/v4"
)

// step is one migration to apply (direction +1) or revert (-1).
type step struct {
	Migration
	file      string
	direction int
	from, to  uint
}

// run sets a copy aside and takes the steps one by one, so that each failure has its file and a context can end it.
func (s *session) run(ctx context.Context, status Status, steps []step) (Result, error) {
	result := status.unchanged()
	if len(steps) == 0 {
		return result, nil
	}
	if err := s.copyAside(ctx, status, &result); err != nil {
		return result, err
	}
	err := s.drive(ctx, func(m *gomigrate.Migrate) error {
		for _, next := range steps {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("stopped before %s: %w", s.path(next.file), err)
			}
			if err := s.take(ctx, m, next); err != nil {
				return err
			}
			result.Applied = append(result.Applied, next.Migration)
			result.To = next.to
		}
		return nil
	})
	return result, err
}

func (s *session) copyAside(ctx context.Context, status Status, result *Result) (err error) {
	if s.db.CopyAside == nil || status.Empty {
		return nil
	}
	result.Backup, err = s.db.CopyAside(ctx, s.db, fmt.Sprintf(".v%d.bak", status.Current))
	if err != nil {
		result.Backup = ""
		return fmt.Errorf("set a copy of the database aside before migrating: %w", err)
	}
	s.log.InfoContext(ctx, "copied the database before migrating it", "copy", result.Backup)
	return nil
}

func (s *session) take(ctx context.Context, m *gomigrate.Migrate, next step) error {
	begun := time.Now()
	if err := m.Steps(next.direction); err != nil {
		return s.failed(ctx, next, err)
	}
	s.log.InfoContext(ctx, "migrated", "file", s.path(next.file), "from", next.from, "to", next.to,
		"duration", time.Since(begun))
	return nil
}

// failed reports a step that failed. A version that can't be read any more is reported as dirty, which is the likely
// and the safe thing to believe.
func (s *session) failed(ctx context.Context, failed step, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusLimit)
	defer cancel()
	r, _, readErr := readRecord(ctx, s.db)
	dirty := readErr != nil || r.Dirty
	line, err := cause(err)
	return &FailedError{
		File:    s.path(failed.file),
		Line:    line,
		Dirty:   dirty,
		Version: failed.from,
		Hint:    failed.hint(dirty),
		Err:     err,
	}
}
