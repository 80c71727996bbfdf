package sqlrepo

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// DefaultRetryFor is how long a transaction is retried while the database can't be reached or is busy.
const DefaultRetryFor = 10 * time.Minute

// Repository is the preparation repository in one database. It is safe for concurrent use.
type Repository struct {
	db   *core.DB
	late lateClaims
}

// Option changes how a Repository works.
type Option func(*core.Settings)

// WithClock sets the source of all times, including those of leases, which otherwise come from the database's
// clock.
func WithClock(now func() time.Time) Option { return func(s *core.Settings) { s.Clock = now } }

// WithRetryFor sets how long a transaction is retried while the database can't be reached or is busy.
func WithRetryFor(limit time.Duration) Option { return func(s *core.Settings) { s.RetryFor = limit } }

// New returns the repository in an open database whose schema is up to date. The caller closes db.
func New(db *dialect.DB, options ...Option) *Repository {
	settings := core.Settings{RetryFor: DefaultRetryFor}
	for _, option := range options {
		option(&settings)
	}
	return &Repository{db: core.New(db, settings)}
}

// DB returns the database, for the packages below this one.
func (r *Repository) DB() *core.DB { return r.db }

// LockUse keeps the schema as it is until the lock is released or the process ends. It returns ErrLocked, naming
// the process that has the lock, if one is changing the schema. Transactions fail with ErrLockLost once the lock is
// lost.
func (r *Repository) LockUse(ctx context.Context) (dialect.Lock, error) { return r.db.LockUse(ctx) }

// LockAll keeps all others away until the lock is released. It returns ErrLocked, naming the process, if one is at
// work. Transactions fail with ErrLockLost once the lock is lost.
func (r *Repository) LockAll(ctx context.Context) (lock dialect.Lock, err error) {
	if lock, err = r.db.LockAll(ctx); err != nil || !r.db.Server {
		return lock, err
	}

	// A process that loses its lock of LockUse meanwhile sees by the counter that others may have changed something. The
	// step is random: after a failover that has lost commits, the counter gets no value that somebody remembers.
	err = r.db.Transact(ctx, "lock the repository", func(tx *core.Tx) error {
		step := 1 + rand.IntN(math.MaxInt32) //nolint:gosec // it keeps no secret
		return tx.Later(ctx, core.Raised(dialect.LockCounter, step), nil)
	})
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return lock, nil
}

// RequireCommits returns ErrRewound if the database has lost commits of this process. Each transaction does that, too.
func (r *Repository) RequireCommits(ctx context.Context) error {
	if !r.db.Server {
		return ctx.Err()
	}
	return r.db.Transact(ctx, "look for earlier commits", func(*core.Tx) error { return nil })
}

// Notify informs other processes that there is something new, if the engine can. If that fails, they find out by
// themselves.
func (r *Repository) Notify(ctx context.Context) error {
	return r.db.Classified("notify others", r.db.Notify(ctx))
}

// Listen calls wake each time another process notifies, until ctx ends. It returns at once if the engine can't
// listen.
func (r *Repository) Listen(ctx context.Context, wake func()) error {
	return r.db.Classified("listen to others", r.db.Listen(ctx, wake))
}
