package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"time"

	gomigrate "github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

const retryDelay = 50 * time.Millisecond

// session is a separate handle on the database, and the lock under which the schema changes.
type session struct {
	db *dialect.DB
	// conn is the connection that migrates and may hold the lock. The handle's other connections read, and keep
	// workers away.
	conn     *sqlx.Conn
	list     list
	files    fs.FS
	log      *slog.Logger
	timeout  time.Duration
	dropData bool
	progress func(Progress)
	release  func() error
}

// open opens the database. Processes that create the same SQLite file at the same time get in each other's way for
// a moment, whatever the busy timeout is, so open tries again.
func (m *Migrator) open(ctx context.Context, settings dialect.Settings) (*dialect.DB, error) {
	engine, err := dialect.EngineOf(settings)
	if err != nil {
		return nil, err
	}

	limited, cancel := context.WithTimeout(ctx, m.lockTimeout)
	defer cancel()

	for {
		db, err := dialect.Open(ctx, settings)
		if err == nil || engine.Classify(err) != dialect.Conflict {
			return db, err
		}
		if pause(limited) != nil {
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

// begin opens the database and waits for the lock. It returns ErrBusy if that takes too long.
func (m *Migrator) begin(ctx context.Context, all list) (*session, error) {
	settings := m.settings
	if m.direct != nil {
		settings = *m.direct
	}

	// Behind such a pooler no lock is kept for a session.
	if dialect.IsPooled(settings) {
		return nil, ErrPooled
	}

	// The first migration may have to create the schema.
	settings.SchemaMayLack = true
	db, err := m.open(ctx, settings)
	if err != nil {
		return nil, err
	}

	s := &session{db: db, list: all, files: m.files, log: m.log, timeout: m.lockTimeout, dropData: m.dropData,
		progress: m.progress}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if s.release, err = s.lock(ctx); err != nil {
		return nil, errors.Join(err, s.disconnect())
	}
	return s, nil
}

func (s *session) connect(ctx context.Context) (err error) {
	s.db.Writer.SetMaxOpenConns(3)
	s.conn, err = s.db.Writer.Connx(ctx)
	return err
}

// disconnect also works for a broken connection, which the handle has dropped.
func (s *session) disconnect() error {
	err := s.conn.Close()
	if errors.Is(err, sql.ErrConnDone) {
		err = nil
	}
	return errors.Join(err, s.db.Close())
}

func (s *session) close() error { return errors.Join(s.disconnect(), s.release()) }

func (s *session) lock(ctx context.Context) (release func() error, err error) {
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()

	for waiting := false; ; waiting = true {
		release, err := s.db.LockSchema(ctx, s.conn, s.db.Settings, versionTable)
		if err != nil {
			return nil, fmt.Errorf("lock the schema of %s: %w", s.db.Describe(), err)
		}
		if release != nil {
			return release, nil
		}

		if !waiting {
			s.log.InfoContext(ctx, "waiting for another process that migrates the database")
		}
		if pause(limited) != nil {
			return nil, busy(ctx, s.timeout)
		}
	}
}

func busy(ctx context.Context, timeout time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w: gave up after %v", ErrBusy, timeout)
}

// pause waits a moment, or returns an error if the context ends.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(retryDelay):
		return nil
	}
}

func (s *session) migrate(ctx context.Context, status Status, target Target) (Result, error) {
	steps, _, err := target.steps(status, s.list)
	if err != nil {
		return status.unchanged(), err
	}
	return s.run(ctx, status, steps)
}

func (s *session) force(ctx context.Context, version uint) (err error) {
	alone, err := s.db.LockAll(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alone.Release()) }()
	target := int(version)
	if version == 0 {
		target = database.NilVersion
	}
	return s.transact(ctx, func(m *gomigrate.Migrate) error { return m.Force(target) })
}

// path returns a migration's file as messages name it.
func (s *session) path(name string) string { return path.Join(s.db.Name, name) }
