package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

const defaultLockTimeout = time.Minute

// Migrator reads and changes the schema version of one database. It holds no connection between calls.
type Migrator struct {
	settings    dialect.Settings
	direct      *dialect.Settings
	files       fs.FS
	log         *slog.Logger
	lockTimeout time.Duration
	dropData    bool
	existing    bool
}

// Option configures a Migrator.
type Option func(*Migrator)

// WithMigrations replaces the embedded migrations. The file system has one directory for each engine, by its name.
func WithMigrations(files fs.FS) Option { return func(m *Migrator) { m.files = files } }

// WithLogger tells which migrations were applied or reverted.
func WithLogger(log *slog.Logger) Option { return func(m *Migrator) { m.log = log } }

// WithLockTimeout sets how long to wait while another process migrates; the default is a minute.
func WithLockTimeout(timeout time.Duration) Option {
	return func(m *Migrator) { m.lockTimeout = timeout }
}

// WithDirect changes the schema over other settings than those that it is looked at and opened with: past a pooler,
// as the role that owns the tables.
func WithDirect(settings dialect.Settings) Option { return func(m *Migrator) { m.direct = &settings } }

// WithDestroyData lets migrations drop tables that have rows.
func WithDestroyData() Option { return func(m *Migrator) { m.dropData = true } }

// WithExisting makes Status, Open and Ensure return ErrAbsent for a database that is not there or has no tables,
// instead of taking it for empty or making it.
func WithExisting() Option { return func(m *Migrator) { m.existing = true } }

// New returns a migrator of the database that the settings name.
func New(settings dialect.Settings, options ...Option) *Migrator {
	m := &Migrator{
		settings:    settings,
		files:       embedded,
		log:         slog.New(slog.DiscardHandler),
		lockTimeout: defaultLockTimeout,
	}
	for _, option := range options {
		option(m)
	}
	return m
}

// Status compares the schema with what this program needs.
type Status struct {
	// Current is the version of the last migration, 0 if there was none. Required is the version this program needs.
	Current, Required uint
	// Dirty says that a tool which doesn't migrate in one transaction began the migration to Current, and hasn't finished
	// it or is still at it.
	Dirty bool
	// Empty says that no migration is recorded at all.
	Empty bool
	// Applied are the known migrations up to Current, Pending those after it.
	Applied, Pending []Migration
}

// Result is what a call has changed.
type Result struct {
	// From and To are the versions before and after, 0 meaning none.
	From, To uint
	// Applied are the migrations that ran, in the order in which they did. Down lists those it reverted.
	Applied []Migration
	// Backup is where a copy of the database was set aside first, "" if there is none.
	Backup string
}

// Fits tells whether this program can use the schema.
func (s Status) Fits() bool { return !s.Dirty && s.Current == s.Required }

// Status reads the version without locking or changing it. A version that can't be read is an error, never "none". A
// database file that is not there is not made: it is empty.
func (m *Migrator) Status(ctx context.Context) (Status, error) {
	all, err := m.load()
	if err != nil {
		return Status{}, err
	}
	absent, err := m.absent()
	if err != nil || absent && !m.existing {
		return statusOf(record{}, false, all), err
	}
	db, status, err := m.look(ctx, false)
	if err != nil {
		return Status{}, err
	}
	return status, db.Close()
}

// look opens the database, even where its schema is yet to be made if that may be so, and reads its version.
func (m *Migrator) look(ctx context.Context, schemaMayLack bool) (*dialect.DB, Status, error) {
	list, err := m.load()
	if err != nil {
		return nil, Status{}, err
	}
	settings := m.settings
	settings.SchemaMayLack, settings.Existing = schemaMayLack && !m.existing, m.existing
	db, err := m.open(ctx, settings)
	if missing := (*dialect.NoFileError)(nil); errors.As(err, &missing) {
		err = fmt.Errorf("%w at %s", ErrAbsent, missing.File)
	}
	if err != nil {
		return nil, Status{}, err
	}
	status, err := readStatus(ctx, db, list)
	if err == nil && status.Empty && m.existing {
		err = refuseForeign(ctx, db, status)
	}
	if err == nil && status.Empty && m.existing {
		err = fmt.Errorf("%w in the %s: it has no tables; guppy migrate up makes them", ErrAbsent, db.Describe())
	}
	if err != nil {
		return nil, Status{}, errors.Join(db.Explain(err), db.Close())
	}
	return db, status, nil
}

// Open opens the database with the schema that this program needs. It does what Ensure does, and returns the same
// errors.
func (m *Migrator) Open(ctx context.Context, auto bool) (*dialect.DB, Result, error) {
	db, status, err := m.look(ctx, auto)
	if err != nil {
		return nil, Result{}, err
	}
	if status.Fits() {
		return db, status.unchanged(), nil
	}
	if err := db.Close(); err != nil {
		return nil, Result{}, err
	}
	result, err := m.bring(ctx, auto)
	if err != nil {
		return nil, result, err
	}
	db, err = m.reopen(ctx)
	return db, result, err
}

// reopen opens the database once it was migrated, maybe over other settings than these.
func (m *Migrator) reopen(ctx context.Context) (*dialect.DB, error) {
	if m.direct == nil {
		return m.open(ctx, m.settings)
	}
	db, status, err := m.look(ctx, false)
	if err == nil && !status.Fits() {
		err = errors.Join(ErrElsewhere, db.Close())
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// Ensure brings the schema to the required version as a program does when it starts: an empty database is migrated; an
// older one too if auto is set or the engine can set a copy aside first. It returns ErrOlder, ErrNewer or ErrDirty, in
// a *RefusedError, for a schema that it leaves as it is, ErrBusy if another process migrates for too long, and a
// *FailedError for a migration that failed. A process that dies in the middle, or a call that fails, leaves an empty
// database empty, and any other at one of the versions in between, never dirty; the next call goes on from there.
func (m *Migrator) Ensure(ctx context.Context, auto bool) (Result, error) {
	db, result, err := m.Open(ctx, auto)
	if err != nil {
		return result, err
	}
	return result, db.Close()
}

// bring brings the schema up to date. Only the lock tells whether another process is about to finish what looks dirty
// or old.
func (m *Migrator) bring(ctx context.Context, auto bool) (Result, error) {
	return m.locked(ctx, func(s *session, status Status) (Result, error) {
		older := !status.Empty && !status.Dirty && len(status.Pending) > 0
		if older && !auto && !s.db.CopiesAside() {
			return status.unchanged(), status.refuse(ErrOlder)
		}
		return s.migrate(ctx, status, Latest())
	})
}

// Migrate brings the schema to the target, after setting a copy of the database aside where the engine can. The result
// holds what was done even when a later migration failed. Errors are those of Ensure, but for ErrOlder, and ErrTarget;
// ErrHoldsData, in a *LossError, leaves everything as it is unless WithDestroyData allows it.
func (m *Migrator) Migrate(ctx context.Context, target Target) (Result, error) {
	return m.locked(ctx, func(s *session, status Status) (Result, error) { return s.migrate(ctx, status, target) })
}

// Up applies all pending migrations. It is Migrate to Latest.
func (m *Migrator) Up(ctx context.Context) (Result, error) { return m.Migrate(ctx, Latest()) }

// Down reverts the last n migrations. It is Migrate to DownBy.
func (m *Migrator) Down(ctx context.Context, n int) (Result, error) { return m.Migrate(ctx, DownBy(n)) }

// Force records that the schema has this version, 0 meaning that no migration was applied, and is not dirty. It runs no
// migration: it is for a schema that was mended by hand.
func (m *Migrator) Force(ctx context.Context, version int) (Result, error) {
	return m.locked(ctx, func(s *session, status Status) (Result, error) {
		if version != 0 && (version < 0 || !s.list.has(uint(version))) {
			return status.unchanged(), noSuchVersion(version, status)
		}
		if err := s.force(ctx, uint(version)); err != nil {
			return status.unchanged(), fmt.Errorf("force version %d: %w", version, err)
		}
		return Result{From: status.Current, To: uint(version)}, nil
	})
}

// changeFunc is what a call does to the schema, knowing the status that it has under the lock.
type changeFunc func(*session, Status) (Result, error)

// locked makes a change while no other process migrates.
func (m *Migrator) locked(ctx context.Context, change changeFunc) (result Result, err error) {
	list, err := m.load()
	if err != nil {
		return Result{}, err
	}
	s, err := m.begin(ctx, list)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	status, err := readStatus(ctx, s.db, list)
	if err != nil {
		return Result{}, err
	}
	result, err = change(s, status)
	return result, s.db.ExplainChange(err)
}
