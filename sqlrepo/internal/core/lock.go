package core

import (
	"context"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// LockUse is like the method of dialect.DB, and retries while the database is away.
func (db *DB) LockUse(ctx context.Context) (lock dialect.Lock, err error) {
	err = db.Retry(ctx, "lock the schema", func() (err error) {
		lock, err = db.DB.LockUse(ctx)
		return err
	})
	return lock, err
}

// LockAll is like the method of dialect.DB, and retries while the database is away. A caller that changes something
// under the lock first raises the counter of locks.
func (db *DB) LockAll(ctx context.Context) (lock dialect.Lock, err error) {
	err = db.Retry(ctx, "lock the repository", func() (err error) {
		lock, err = db.DB.LockAll(ctx)
		return err
	})
	return lock, err
}

// lockMark is the dialect.Mark of the database.
func (db *DB) lockMark(ctx context.Context, session sqlx.QueryerContext) (mark int64, err error) {
	text, args, err := db.Reader.render(sq.Select("COALESCE(MAX(value), 0)").From(CounterTable).
		Where(sq.Eq{"name": dialect.LockCounter}))
	if err != nil {
		return 0, err
	}
	err = sqlx.GetContext(ctx, session, &mark, text, args...)
	return mark, err
}
