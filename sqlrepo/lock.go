package sqlrepo

import (
	"context"
	"errors"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// LockUse keeps the schema as it is until the lock is released or the process ends. It returns ErrLocked, naming
// the process that has the lock, if one is changing the schema. Transactions fail with ErrLockLost once the lock is
// lost.
func (r *Repository) LockUse(ctx context.Context) (lock dialect.Lock, err error) {
	err = r.read(ctx, "lock the schema", func() (err error) {
		lock, err = r.db.LockUse(ctx)
		return err
	})
	return lock, err
}

// LockAll keeps all others away until the lock is released. It returns ErrLocked, naming the process, if one is at
// work. Transactions fail with ErrLockLost once the lock is lost.
func (r *Repository) LockAll(ctx context.Context) (lock dialect.Lock, err error) {
	if lock, err = r.lockAll(ctx); err != nil || !r.db.Server {
		return lock, err
	}

	err = r.withTx(ctx, "lock the repository", func(tx *dialect.Tx) error {
		return r.later(ctx, tx, raised(dialect.LockCounter, 1), nil)
	})
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return lock, nil
}

// lockAll is LockAll for callers that change nothing under the lock.
func (r *Repository) lockAll(ctx context.Context) (lock dialect.Lock, err error) {
	err = r.read(ctx, "lock the repository", func() (err error) {
		lock, err = r.db.LockAll(ctx)
		return err
	})
	return lock, err
}

// lockMark is the dialect.Mark of the repository.
func (r *Repository) lockMark(ctx context.Context, session sqlx.QueryerContext) (mark int64, err error) {
	text, args, err := r.render(sq.Select("COALESCE(MAX(value), 0)").From(counterTable).
		Where(sq.Eq{"name": dialect.LockCounter}))
	if err != nil {
		return 0, err
	}
	err = sqlx.GetContext(ctx, session, &mark, text, args...)
	return mark, err
}
