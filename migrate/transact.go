package migrate

import (
	"context"
	"errors"
	"fmt"

	gomigrate "github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// commitError is a failed commit. Where answers can be lost, it may have succeeded all the same.
type commitError struct{ err error }

func (e *commitError) Error() string { return fmt.Sprintf("commit: %v", e.err) }

func (e *commitError) Unwrap() error { return e.err }

// prepare runs the statements that create the schema and the version table. There are none if both exist: a role
// that may change tables need not be allowed to create them. An empty version table is as good as none.
func (s *session) prepare(ctx context.Context, tx *sqlx.Tx, statements []string) error {
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
		if err := s.db.CheckSchema(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// transact lets golang-migrate work in one transaction, and commits if the work succeeds. Cancelling the context
// has no effect on it.
func (s *session) transact(ctx context.Context, work func(*gomigrate.Migrate) error) error {
	ctx = context.WithoutCancel(ctx)
	statements, err := preparing(ctx, s.db)
	if err != nil {
		return err
	}

	raise, err := s.raising(ctx)
	if err != nil {
		return err
	}

	tx, err := s.conn.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // the caller gets the error from before

	if err := s.db.Prove(ctx, tx); err != nil {
		return err
	}

	if raise != "" {
		if _, err := tx.ExecContext(ctx, raise); err != nil {
			return err
		}
	}

	if err := s.prepare(ctx, tx, statements); err != nil {
		return err
	}
	if err := s.drive(ctx, tx, work); err != nil {
		return err
	}

	if err := tx.Commit(); err != nil {
		return &commitError{err}
	}
	return nil
}

// raising is the statement by which a process that has lost a lock learns that the schema was changed meanwhile: ""
// where none can be lost, or nobody could have used the schema.
func (s *session) raising(ctx context.Context) (statement string, err error) {
	if !s.db.Server {
		return "", ctx.Err()
	}
	found, err := s.db.HasTable(ctx, "counters")
	if err != nil || !found {
		return "", err
	}
	return raiseLockCounter, nil
}

const raiseLockCounter = "INSERT INTO counters (name, value) VALUES ('" + dialect.LockCounter + "', 1) " +
	"ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"

// drive runs golang-migrate on a transaction.
func (s *session) drive(ctx context.Context, tx *sqlx.Tx, work func(*gomigrate.Migrate) error) error {
	files, err := iofs.New(s.files, s.db.Name)
	if err != nil {
		return err
	}

	m, err := gomigrate.NewWithInstance("iofs", files, s.db.Name, &driver{ctx, tx, s.conn, s.db})
	if err != nil {
		return errors.Join(err, files.Close())
	}
	return errors.Join(work(m), closeBoth(m))
}

func closeBoth(m *gomigrate.Migrate) error {
	source, database := m.Close()
	return errors.Join(source, database)
}
