package sqlrepo

import (
	"context"

	"github.com/guppy-prep/guppy/dialect"
)

// LockUse keeps the schema as it is for as long as its process lives, or until the lock is released. It returns ErrLocked,
// with who has the lock, when somebody is changing the schema.
func (r *Repository) LockUse(ctx context.Context) (lock dialect.Lock, err error) {
	err = r.read(ctx, "lock the schema", func() (err error) {
		lock, err = r.db.LockUse(ctx, r.db)
		return err
	})
	return lock, err
}

// LockAll keeps everybody else away until the lock is released. It returns ErrLocked, with who is at work, when somebody is.
func (r *Repository) LockAll(ctx context.Context) (lock dialect.Lock, err error) {
	err = r.read(ctx, "lock the repository", func() (err error) {
		lock, err = r.db.LockAll(ctx, r.db)
		return err
	})
	return lock, err
}
