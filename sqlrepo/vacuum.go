package sqlrepo

import (
	"context"
	"errors"

	"github.com/guppy-prep/guppy/dialect"
)

// Vacuum makes the database return unused space to the file system, and reports whether there was anything to do:
// some engines do that by themselves. It returns ErrLocked, naming the process, while others use the database.
func (r *Repository) Vacuum(ctx context.Context) (done bool, err error) {
	if !r.db.Vacuums() {
		return false, ctx.Err()
	}
	lock, err := r.db.LockAll(ctx)
	if err != nil {
		return false, r.classified("vacuum", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	return true, r.classified("vacuum", r.db.Vacuum(ctx))
}

// ForgetReceipts removes the receipts of processes that ended long ago.
func (r *Repository) ForgetReceipts(ctx context.Context) error {
	today, err := r.today(ctx)
	if err != nil {
		return err
	}
	return r.withTx(ctx, "forget old receipts", func(tx *dialect.Tx) error { return r.forgetReceipts(ctx, tx, today) })
}
