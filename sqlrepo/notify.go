package sqlrepo

import "context"

// Notify informs other processes that there is something new, if the engine can. If that fails, they find out by
// themselves.
func (r *Repository) Notify(ctx context.Context) error {
	if r.db.Notify == nil {
		return ctx.Err()
	}
	return r.classified("notify others", r.db.Notify(ctx, r.db))
}

// Listen calls wake each time another process notifies, until ctx ends. It returns at once if the engine can't
// listen.
func (r *Repository) Listen(ctx context.Context, wake func()) error {
	if r.db.Listen == nil {
		return ctx.Err()
	}
	return r.classified("listen to others", r.db.Listen(ctx, r.db, wake))
}
