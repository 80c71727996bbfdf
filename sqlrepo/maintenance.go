package sqlrepo

import (
	"context"
	"errors"
)

// Analyze makes the engine look at the large tables after much has changed in them.
func (r *Repository) Analyze(ctx context.Context) error {
	return r.db.Retry(ctx, "analyze tables", func() error {
		return r.db.Analyze(ctx, []string{"entries", "shards", "segments", "nodes", "roots"})
	})
}

// Vacuum makes the database return unused space to the file system, and reports whether there was anything to do:
// some engines do that by themselves. It returns ErrLocked, naming the process, while others use the database.
func (r *Repository) Vacuum(ctx context.Context) (done bool, err error) {
	if !r.db.Vacuums() {
		return false, ctx.Err()
	}
	lock, err := r.db.DB.LockAll(ctx)
	if err != nil {
		return false, r.db.Classified("vacuum", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	return true, r.db.Classified("vacuum", r.db.Vacuum(ctx))
}

// ForgetReceipts removes the receipts of processes that ended long ago.
func (r *Repository) ForgetReceipts(ctx context.Context) error { return r.db.ForgetReceipts(ctx) }
