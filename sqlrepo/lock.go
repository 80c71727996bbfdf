package sqlrepo

import (
	"context"

	"github.com/guppy-prep/guppy/dialect"
)

// LockSource gives one run the source, for as long as its process lives or until the lock is released. It returns
// ErrLocked, with who has it, when another run is at work on the source, or on the database where an engine takes one
// run at a time.
func (r *Repository) LockSource(ctx context.Context, source int64) (lock dialect.Lock, err error) {
	err = r.read(ctx, "lock the source", func() (err error) {
		lock, err = r.db.LockRun(ctx, r.db, source)
		return err
	})
	return lock, err
}
