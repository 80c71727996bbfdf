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
	progress    func(Progress)
}

// Option configures a Migrator.
type Option func(*Migrator)

// WithMigrations replaces the embedded migrations. The file system has one directory for each engine, by its name.
func WithMigrations(files fs.FS) Option { return func(m *Migrator) { m.files = files } }

// WithLogger sets the logger that reports which migrations were applied or reverted.
func WithLogger(log *slog.Logger) Option { return func(m *Migrator) { m.log = log } }

// WithLockTimeout sets how long to wait while another process migrates. The default is one minute.
func WithLockTimeout(timeout time.Duration) Option {
	return func(m *Migrator) { m.lockTimeout = timeout }
}

// WithDirect sets the settings for changing the schema, where they differ from those for reading it: past a pooler,
// or as the role that owns the tables.
func WithDirect(settings dialect.Settings) Option { return func(m *Migrator) { m.direct = &settings } }

// WithDestroyData lets migrations drop tables that have rows.
func WithDestroyData() Option { return func(m *Migrator) { m.dropData = true } }

// Progress is how far a change of the schema is.
type Progress struct {
	// Doing says what is done at the moment.
	Doing string
	// Done is how many migrations have been applied or reverted, of Total.
	Done, Total int
	// Bytes is how much of the database was copied, of about BytesTotal. Both are 0 while nothing is copied.
	Bytes, BytesTotal int64
}

// WithProgress sets a function that is called before each step of a change, and again and again while the database is
// copied. There is never more than one call at a time.
func WithProgress(progress func(Progress)) Option { return func(m *Migrator) { m.progress = progress } }

// WithExisting makes Status, Open and Ensure return ErrAbsent for a database that does not exist or has no tables.
// Without it, Status takes such a database for empty, and Open and Ensure create it.
func WithExisting() Option { return func(m *Migrator) { m.existing = true } }

// New returns a migrator for the database that the settings name.
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

// Status compares the schema with the version that this program needs.
type Status struct {
	// Current is the version of the last migration, 0 if there was none. Required is the version this program needs.
	Current, Required uint
	// Dirty is true if a tool that does not migrate in one transaction began the migration to Current and has not
	// finished it, or is still running it.
	Dirty bool
	// Empty is true if no migration is recorded.
	Empty bool
	// Applied are the known migrations up to Current, Pending the ones after it.
	Applied, Pending []Migration
}

// Result says what a call has changed.
type Result struct {
	// From and To are the versions before and after, 0 meaning none.
	From, To uint
	// Applied are the migrations that ran, in order. After Down these are the reverted ones.
	Applied []Migration
	// Backup is where a copy of the database was set aside first, "" if no copy was made.
	Backup string
}

// Fits reports whether this program can use the schema.
func (s Status) Fits() bool { return !s.Dirty && s.Current == s.Required }

// Status reads the version without locking or changing anything. A version that can't be read is an error and never
// "none". A database file that does not exist is not created; it has the status of an empty database.
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

// look opens the database and reads its version. With schemaMayLack the database's schema need not exist yet.
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
	// A database with another program's tables is not absent.
	if err == nil && status.Empty && m.existing {
		err = refuseForeign(ctx, db, status)
	}
	if err == nil && status.Empty && m.existing {
		err = fmt.Errorf("%w in the %s: it has no tables; guppy migrate up creates them", ErrAbsent, db.Describe())
	}

	if err != nil {
		return nil, Status{}, errors.Join(db.Explain(err), db.Close())
	}
	return db, status, nil
}

// Open opens the database with the schema that this program needs. It migrates as Ensure does and returns the same
// errors.
func (m *Migrator) Open(ctx context.Context, auto bool) (*dialect.DB, Result, error) {
	db, status, err := m.look(ctx, auto)
	if err != nil {
		return nil, Result{}, err
	}

	if status.Fits() {
		return db, status.unchanged(), nil
	}

	// The migration opens a handle of its own.
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

// reopen opens the database after it was migrated, possibly through other settings.
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

// Ensure brings the schema to the required version when a program starts. It migrates an empty database. It
// migrates an older one if auto is set or the engine can set a copy aside first.
//
// Ensure returns ErrOlder, ErrNewer or ErrDirty, in a *RefusedError, for a schema that it leaves as it is, ErrBusy
// if another process migrates for too long, and a *FailedError for a migration that failed. If the process dies or
// the call fails, an empty database stays empty and any other is at one of the versions in between, never dirty.
// The next call goes on from there.
func (m *Migrator) Ensure(ctx context.Context, auto bool) (Result, error) {
	db, result, err := m.Open(ctx, auto)
	if err != nil {
		return result, err
	}
	return result, db.Close()
}

// bring brings the schema up to date. It decides under the lock, since another process may be about to finish what
// looks dirty or old.
func (m *Migrator) bring(ctx context.Context, auto bool) (Result, error) {
	return m.locked(ctx, func(s *session, status Status) (Result, error) {
		older := !status.Empty && !status.Dirty && len(status.Pending) > 0
		if older && !auto && !s.db.CopiesAside() {
			return status.unchanged(), status.refuse(ErrOlder)
		}
		return s.migrate(ctx, status, Latest())
	})
}

// Migrate brings the schema to the target, after setting a copy of the database aside if the engine can. The result
// holds what was done even if a later migration failed. Migrate returns the errors of Ensure, except ErrOlder, and
// ErrTarget. It returns ErrHoldsData, in a *LossError, and changes nothing if tables with rows would be dropped and
// WithDestroyData was not given.
func (m *Migrator) Migrate(ctx context.Context, target Target) (Result, error) {
	return m.locked(ctx, func(s *session, status Status) (Result, error) { return s.migrate(ctx, status, target) })
}

// Up applies all pending migrations. It is Migrate to Latest.
func (m *Migrator) Up(ctx context.Context) (Result, error) { return m.Migrate(ctx, Latest()) }

// Down reverts the last n migrations. It is Migrate to DownBy.
func (m *Migrator) Down(ctx context.Context, n int) (Result, error) { return m.Migrate(ctx, DownBy(n)) }

// Force records that the schema has this version and is not dirty; 0 means that no migration was applied. It runs
// no migration: it is for a schema that was repaired by hand.
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

// changeFunc changes the schema, given its status under the lock.
type changeFunc func(*session, Status) (Result, error)

// locked runs change while no other process migrates.
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

	// The version may have changed while this process waited for the lock.
	status, err := readStatus(ctx, s.db, list)
	if err != nil {
		return Result{}, err
	}

	result, err = change(s, status)
	return result, s.db.ExplainChange(err)
}
